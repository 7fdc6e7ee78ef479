--- Reads the addresses and positions of all instances of the cluster from the configuration.
-- @module tarantkv.replica_sets

local M = {}

local POSITION = 'roles_cfg.tarantkv.position'

--- Host and port of an address.
local function split(address)
    local host, port = address:match('^%[?(.-)%]?:(%d+)$')
    return host, tonumber(port)
end

--- The address under which an instance can be reached: the one it advertises, otherwise the one on which it listens.
local function address_of(config, instance)
    local address = config:get('iproto.advertise.client', {instance = instance})
    if address == nil then
        address = config:get('iproto.listen', {instance = instance})[1].uri
    end
    return split(address)
end

--- All shards.
-- @tparam table config Tarantool's module `config`
-- @treturn table `{name = {{host, port}, ...}}`, in the order of the instances' names
-- @raise a text, if two instances have the same position, or an instance has no address
function M.read(config)
    local names = {}
    for name in pairs(config:instances()) do
        table.insert(names, name)
    end
    table.sort(names)
    local shards, positions = setmetatable({}, {__serialize = 'map'}), {}
    for _, name in ipairs(names) do
        local position = config:get(POSITION, {instance = name})
        if position ~= nil then
            if positions[position] ~= nil then
                error(('%s is %d for both %s and %s'):format(POSITION, position, positions[position], name), 0)
            end
            positions[position] = name
            local shard = config:instances()[name].replicaset_name
            local host, port = address_of(config, name)
            if port == nil then
                error(('instance %s has no address host:port'):format(name), 0)
            end
            shards[shard] = shards[shard] or {}
            table.insert(shards[shard], {host, port})
        end
    end
    return shards
end

return M
