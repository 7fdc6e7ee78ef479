--- Whose data a data directory holds: the shard's name, the number of buckets and the ranges it owns, stored at the
-- first start and compared at every later one. A changed shard list must never lose keys silently, so a difference
-- ends the start. Ranges are computed in `ownership`.
-- @module tarantkv.identity

local json = require('json')

local M = {}

--- What differs between the stored identity and the one wanted; stores the wanted one if there is none.
-- @tparam space space the space `identity`
-- @tparam table wanted `{shard = string, bucket_count = number, ranges = {{first, last}}}`
-- @treturn string one line, or nil when they are the same
function M.establish(space, wanted)
    if space:len() == 0 then
        box.atomic(function()
            space:insert({'shard', wanted.shard})
            space:insert({'bucket_count', wanted.bucket_count})
            space:insert({'ranges', wanted.ranges})
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
