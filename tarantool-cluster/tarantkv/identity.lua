--- Which shard the data in a directory belongs to: the shard's name, the number of buckets and the ranges it owns. They
-- are stored at the first start and compared at every later one. If they differ, the shard does not start: a changed
-- list of shards must never make keys unreachable silently. `ownership` computes the ranges.
--
-- The id of the cluster is stored when the first worker sends one, and never changes afterwards. All shards of a
-- cluster have the same id.
-- @module tarantkv.identity

local json = require('json')
local msgpack = require('msgpack')
local arguments = require('tarantkv.arguments')
local outcome = require('tarantkv.outcome')

local M = {}

local CLUSTER_ID_DIGITS = 32

local identity

--- Set the space of the identity.
function M.attach(space)
    identity = space
end

--- The id of the cluster that the data belongs to, nil if none is stored yet.
-- @treturn string 32 hexadecimal digits
function M.cluster()
    local stored = identity:get('cluster')
    return stored ~= nil and stored.value or nil
end

--- Control operation JOIN `[cluster_id]`, payload `[cluster_id]`: returns the stored id; stores the given one if there
-- is none.
function M.join(args, late)
    local id = arguments.text(args[1], CLUSTER_ID_DIGITS)
    if id == nil or #id ~= CLUSTER_ID_DIGITS or id:find('[^0-9a-f]') ~= nil then
        return outcome.MALFORMED, 'JOIN takes a cluster id, 32 lower-case hexadecimal digits', false
    end
    local stored = M.cluster()
    if stored ~= nil then
        return outcome.OK, msgpack.encode({stored}), false
    elseif late then
        return outcome.EXPIRED, outcome.LATE, false
    end
    identity:insert({'cluster', id})
    return outcome.OK, msgpack.encode({id}), true
end

--- Compare the stored identity with the wanted one; store the wanted one if there is none.
-- @tparam space space the space `identity`
-- @tparam table wanted `{shard = string, bucket_count = number, ranges = {{first, last}}}`, without ranges
-- if buckets can move
-- @treturn string one line that names the differences, nil if there are none
function M.establish(space, wanted)
    if space:len() == 0 then
        box.atomic(function()
            space:insert({'shard', wanted.shard})
            space:insert({'bucket_count', wanted.bucket_count})
            if wanted.ranges ~= nil then
                space:insert({'ranges', wanted.ranges})
            end
        end)
        return nil
    end
    local differences = {}
    for _, name in ipairs({'shard', 'bucket_count', 'ranges'}) do
        local stored = space:get(name)
        local before, now = json.encode(stored ~= nil and stored.value or box.NULL), json.encode(wanted[name])
        if before ~= now then
            table.insert(differences, ('%s is %s in the data and %s in the settings'):format(name, before, now))
        end
    end
    if #differences == 0 then
        return nil
    end
    return 'the data directory belongs to another shard or shard list: ' .. table.concat(differences, ', ')
end

return M
