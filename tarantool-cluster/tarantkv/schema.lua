--- The spaces of a shard and their indexes. `access` grants rights; `identity` says which shard the data belongs to.
-- Every step can be repeated, so that a start finishes what an interrupted start before it began.
-- @module tarantkv.schema

local M = {}

local SPACES = {
    -- One entry per key. If buckets do not move it has no index on bucket_id, which would double the cost of a write.
    -- The third field, the value, is not in the format: the type "any" does not accept MessagePack extensions of
    -- negative types (such as MessagePack's own timestamps) and some others. `tuple` describes the fields behind the
    -- value.
    {name = 'kv', format = {
        {'key', 'string'}, {'bucket_id', 'unsigned'},
    }, field_count = 0, indexes = {
        {'key', type = 'tree', parts = {1, 'string'}},
    }},
    -- The times at which keys expire. It is a space, not an index of `kv`: in 2.6 an index contains every tuple, also
    -- those without expiry.
    {name = 'expiring', format = {
        {'key', 'string'}, {'expires', 'unsigned'},
    }, field_count = 2, indexes = {
        {'key', type = 'tree', parts = {1, 'string'}},
        {'expires', type = 'tree', unique = false, parts = {2, 'unsigned'}},
    }},
    -- An upper bound of the shard's clock: `shard_clock`.
    {name = 'clock', format = {
        {'name', 'string'}, {'ms', 'unsigned'},
    }, indexes = {
        {'name', type = 'tree', parts = {1, 'string'}},
    }},
    -- A record holds a run of ids and has the first of them as its key, so the record of a chunk is the last one whose
    -- key is not greater than the chunk's id. Ids and retention grow with time, so tuples are inserted at few places of
    -- the trees, which is cheap.
    {name = 'applied', format = {
        {'id', 'string'}, {'retain_until', 'unsigned'}, {name = 'result', type = 'scalar', is_nullable = true},
    }, field_count = 3, indexes = {
        {'id', type = 'tree', parts = {1, 'string'}},
        {'retain_until', type = 'tree', unique = false, parts = {2, 'unsigned'}},
    }},
    -- If buckets move: the result of each bucket of a change under a claim (`keyed`).
    {name = 'keyed', format = {
        {'token', 'string'}, {'bucket_id', 'unsigned'}, {'retain_until', 'unsigned'},
        {name = 'result', type = 'scalar', is_nullable = true},
    }, indexes = {
        {'token', type = 'tree', parts = {1, 'string', 2, 'unsigned'}},
        {'retain_until', type = 'tree', unique = false, parts = {3, 'unsigned'}},
        {'bucket_id', type = 'tree', unique = false, parts = {2, 'unsigned'}},
    }},
    -- The tuples are small, because each request with an Idempotency-Key makes one for the whole window. `claims`
    -- describes the fields.
    {name = 'claims', format = {
        {'id', 'string'}, {'bucket_id', 'unsigned'}, {'expires', 'unsigned'}, {'digest', 'string'},
        {'claim_id', 'string'}, {name = 'outcome', type = 'string', is_nullable = true},
    }, indexes = {
        {'id', type = 'tree', parts = {1, 'string'}},
        {'expires', type = 'tree', unique = false, parts = {3, 'unsigned'}},
        {'bucket_id', type = 'tree', unique = false, parts = {2, 'unsigned'}},
    }},
    -- Each account has two records, under two buckets, which may be on the same shard. So the bucket is part of the
    -- key.
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
    -- How often each chunk was applied; only used if a test sets TARANTKV_COUNT_APPLICATIONS.
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

--- Give a space of an earlier version today's format, which accepts all its tuples.
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

--- Drop the secondary indexes: Tarantool 3 cannot alter a primary index while they exist. They are created again
-- afterwards.
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

--- Indexes that a space has only if buckets move.
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

--- Create the spaces that are missing.
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
            -- An earlier version may have created it with another type or with fewer fields.
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
