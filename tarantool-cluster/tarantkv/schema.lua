--- The spaces of a shard and their indexes. Who may call what is in `access`, whose data this is in `identity`.
-- Every step can be repeated, so a first start that was interrupted is finished by the next.
-- @module tarantkv.schema

local M = {}

local SPACES = {
    -- One entry per key. Where no buckets move it has no index on bucket_id, which would double the cost of a write.
    -- The third field, the value, is left out of the format: "any" is not any, it refuses extensions of a negative type
    -- (MessagePack's own timestamps) and of some others. `tuple` says what follows it.
    {name = 'kv', format = {
        {'key', 'string'}, {'bucket_id', 'unsigned'},
    }, field_count = 0, indexes = {
        {'key', type = 'tree', parts = {1, 'string'}},
    }},
    -- When the keys that expire do. An index on the expiry in `kv` would hold every key: 2.6 has none that leaves out
    -- nil.
    {name = 'expiring', format = {
        {'key', 'string'}, {'expires', 'unsigned'},
    }, field_count = 2, indexes = {
        {'key', type = 'tree', parts = {1, 'string'}},
        {'expires', type = 'tree', unique = false, parts = {2, 'unsigned'}},
    }},
    -- How far the shard's clock may have come: `shard_clock`.
    {name = 'clock', format = {
        {'name', 'string'}, {'ms', 'unsigned'},
    }, indexes = {
        {'name', type = 'tree', parts = {1, 'string'}},
    }},
    -- An id stands for the run that begins with it, so the record of a chunk is the last one up to its own id. Ids and
    -- retention grow with time: the trees grow at few ends, which is cheap.
    {name = 'applied', format = {
        {'id', 'string'}, {'retain_until', 'unsigned'}, {name = 'result', type = 'scalar', is_nullable = true},
    }, field_count = 3, indexes = {
        {'id', type = 'tree', parts = {1, 'string'}},
        {'retain_until', type = 'tree', unique = false, parts = {2, 'unsigned'}},
    }},
    -- What came of each bucket of a change under a claim, where buckets move: `keyed`.
    {name = 'keyed', format = {
        {'token', 'string'}, {'bucket_id', 'unsigned'}, {'retain_until', 'unsigned'},
        {name = 'result', type = 'scalar', is_nullable = true},
    }, indexes = {
        {'token', type = 'tree', parts = {1, 'string', 2, 'unsigned'}},
        {'retain_until', type = 'tree', unique = false, parts = {3, 'unsigned'}},
        {'bucket_id', type = 'tree', unique = false, parts = {2, 'unsigned'}},
    }},
    -- Kept small, since each keyed request makes one that lasts for the window; `claims` says what the fields hold.
    {name = 'claims', format = {
        {'id', 'string'}, {'bucket_id', 'unsigned'}, {'expires', 'unsigned'}, {'digest', 'string'},
        {'claim_id', 'string'}, {name = 'outcome', type = 'string', is_nullable = true},
    }, indexes = {
        {'id', type = 'tree', parts = {1, 'string'}},
        {'expires', type = 'tree', unique = false, parts = {3, 'unsigned'}},
        {'bucket_id', type = 'tree', unique = false, parts = {2, 'unsigned'}},
    }},
    -- Accounts stand under two buckets each, whose records may meet on a shard: neither is in the way of the other.
    {name = 'users', format = {
        {'name', 'string'}, {'bucket_id', 'unsigned'}, {'password_hash', 'string'}, {'scopes', 'array'},
        {'disabled', 'boolean'}, {'version', 'unsigned'}, {name = 'not_before', type = 'number', is_nullable = true},
    }, indexes = {
        {'name', type = 'tree', parts = {1, 'string', 2, 'unsigned'}},
        {'bucket_id', type = 'tree', unique = false, parts = {2, 'unsigned'}},
    }},
    {name = 'revoked', format = {
        {'name', 'string'}, {'jti', 'string'}, {'bucket_id', 'unsigned'}, {'expires', 'unsigned'},
    }, indexes = {
        {'token', type = 'tree', parts = {1, 'string', 2, 'string', 3, 'unsigned'}},
        {'expires', type = 'tree', unique = false, parts = {4, 'unsigned'}},
        {'bucket_id', type = 'tree', unique = false, parts = {3, 'unsigned'}},
    }},
    -- How often each chunk was applied; filled only where tests ask for it.
    {name = 'applications', format = {
        {'id', 'string'}, {'count', 'unsigned'},
    }, indexes = {
        {'id', type = 'hash', parts = {1, 'string'}},
    }},
    {name = 'identity', format = {
        {'name', 'string'}, {'value', 'any'},
    }, indexes = {
        {'name', type = 'tree', parts = {1, 'string'}},
    }},
}

--- Bring a space that an earlier version made into today's form, which takes all that it holds.
local function adapt(space, wanted)
    local stored = box.space._space:get(space.id)
    if stored.field_count ~= (wanted.field_count or 0) then
        box.space._space:update(space.id, {{'=', 'field_count', wanted.field_count or 0}})
    end
    local fields = stored.format
    for i, field in ipairs(wanted.format) do
        if fields[i] == nil or fields[i].type ~= (field.type or field[2]) then
            space:format(wanted.format)
            return
        end
    end
end

--- Drop the indexes that hold the primary one's fields: Tarantool 3 alters no primary index with such. They are made
-- again behind it.
local function drop_secondary(space)
    local others = {}
    for id, index in pairs(space.index) do
        if type(id) == 'number' and id > 0 then
            table.insert(others, index)
        end
    end
    for _, index in ipairs(others) do
        index:drop()
    end
end

--- Indexes that a space has only where buckets move.
local MOVING = {
    kv = {{'bucket_id', type = 'tree', unique = false, parts = {2, 'unsigned'}}},
}

--- All indexes that a space is to have.
local function indexes_of(wanted, in_replica_set)
    local indexes = {}
    for _, index in ipairs(wanted.indexes) do
        table.insert(indexes, index)
    end
    for _, index in ipairs(in_replica_set and MOVING[wanted.name] or {}) do
        table.insert(indexes, index)
    end
    return indexes
end

--- Make the spaces that are missing.
-- @tparam[opt] boolean in_replica_set whether a change counts only once a quorum of replicas has it, and buckets move
function M.create(in_replica_set)
    for _, wanted in ipairs(SPACES) do
        local space = box.schema.space.create(wanted.name, {
            format = wanted.format, field_count = wanted.field_count, if_not_exists = true,
            is_sync = in_replica_set or nil,
        })
        adapt(space, wanted)
        for _, index in ipairs(indexes_of(wanted, in_replica_set)) do
            local made = space:create_index(index[1], {
                type = index.type, unique = index.unique, parts = index.parts, if_not_exists = true,
            })
            -- A shard of an earlier version may have made it of another type, or of fewer fields.
            if made.type:lower() ~= index.type or 2 * #made.parts ~= #index.parts then
                if made.id == 0 then
                    drop_secondary(space)
                end
                made:alter({type = index.type, parts = index.parts})
            end
        end
    end
end

return M
