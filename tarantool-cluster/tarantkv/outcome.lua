--- What a chunk can come to: the status numbers of the wire format, and how the database's own errors map to them.
-- Messages are for people and carry no key and no value. Which operation gives which status is decided where it runs.
-- @module tarantkv.outcome

local M = {
    OK = 0,
    EXPIRED = 1,
    WRONG_BUCKET = 2,
    READ_ONLY = 3,
    NO_MEMORY = 4,
    TOO_LARGE = 5,
    MALFORMED = 6,
    REFUSED = 7,
    -- 8 is given by the worker, about shards that it could not ask; 9 also here.
    UNKNOWN = 9,
    CONFLICT = 10,
    TOO_MANY = 11,

    --- The message of EXPIRED.
    LATE = 'the deadline has passed',
}

local NOTHING = box.NULL

--- The answer of one chunk.
-- @tparam number status
-- @param[opt] payload string, number or nil
-- @treturn table `{status, payload}`, always two elements long on the wire
function M.answer(status, payload)
    if payload == nil then
        payload = NOTHING
    end
    return {status, payload}
end

local STATUS_OF_CODE = {
    [box.error.READONLY] = M.READ_ONLY,
    [box.error.MEMTX_MAX_TUPLE_SIZE] = M.TOO_LARGE,
}

-- What a leader says that is one no longer: another one took its place, and its transaction back with that. Or that its
-- replicas are too far behind. It is not applied, and the next leader may be asked. Not every version of Tarantool has
-- all of them.
for _, name in ipairs({
    'SYNC_ROLLBACK', 'SYNC_QUEUE_UNCLAIMED', 'SYNC_QUEUE_FOREIGN', 'SYNC_QUEUE_FULL', 'INTERFERING_PROMOTE',
    'INTERFERING_ELECTIONS', 'NOT_LEADER',
}) do
    local code = box.error[name]
    if code ~= nil then
        STATUS_OF_CODE[code] = M.READ_ONLY
    end
end

-- Its replicas did not confirm a transaction in time: they may still.
for _, name in ipairs({'SYNC_QUORUM_TIMEOUT', 'SYNC_TIMEOUT'}) do
    local code = box.error[name]
    if code ~= nil then
        STATUS_OF_CODE[code] = M.UNKNOWN
    end
end

--- Status and message for an error of the database.
-- @param err box error object, or whatever else was raised
-- @treturn number status
-- @treturn string message
function M.of_error(err)
    local status = nil
    if type(err) == 'cdata' then
        -- A failed allocation is no client error and has a type instead of a code.
        status = err.type == 'OutOfMemory' and M.NO_MEMORY or STATUS_OF_CODE[err.code]
    end
    return status or M.REFUSED, tostring(err)
end

return M
