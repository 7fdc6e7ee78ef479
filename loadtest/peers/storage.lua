#!/usr/bin/env tarantool
--- The storage of the peers: one space, and one procedure each to write and to read a batch.
-- Environment: PEER_LISTEN (host:port), PEER_DIR, PEER_MEMORY_MIB, PEER_PASSWORD.

box.cfg({
    work_dir = os.getenv('PEER_DIR'),
    memtx_memory = tonumber(os.getenv('PEER_MEMORY_MIB')) * 1024 * 1024,
    wal_mode = 'write',
    -- By default Tarantool stops reading a connection while 16 KiB of requests wait: less than one large batch.
    readahead = 4 * 1024 * 1024,
    log_level = 'warn',
})
if box.internal ~= nil and box.internal.feedback_daemon ~= nil then
    box.cfg({feedback_enabled = false})
end

local kv = box.schema.space.create('kv', {if_not_exists = true, field_count = 2})
kv:create_index('key', {type = 'tree', parts = {1, 'string'}, if_not_exists = true})

--- Store pairs `{key, value}` in one transaction.
function kv_write(pairs_)
    box.begin()
    for i = 1, #pairs_ do
        kv:replace(pairs_[i])
    end
    box.commit()
end

--- The tuples of those keys that exist. Tarantool sends tuples without making Lua tables of them.
function kv_read(keys)
    local found, count = {}, 0
    local index = kv.index.key
    for i = 1, #keys do
        local tuple = index:get(keys[i])
        if tuple ~= nil then
            count = count + 1
            found[count] = tuple
        end
    end
    return found
end

for _, name in ipairs({'kv_write', 'kv_read'}) do
    box.schema.func.create(name, {setuid = true, if_not_exists = true})
end
box.schema.user.create('peer', {password = os.getenv('PEER_PASSWORD'), if_not_exists = true})
for _, name in ipairs({'kv_write', 'kv_read'}) do
    box.schema.user.grant('peer', 'execute', 'function', name, {if_not_exists = true})
end

box.cfg({listen = os.getenv('PEER_LISTEN')})
