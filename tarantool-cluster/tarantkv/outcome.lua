--- The outcomes of a chunk: the status numbers of the wire format, and how the database's errors map to them.
-- Messages are for people and contain no keys and no values.
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
    -- 8 is set by workers only, for a shard that they cannot reach. 9 is set by workers and here.
    UNKNOWN = 9,
    CONFLICT = 10,
    TOO_MANY = 11,

    --- The message of EXPIRED.
    LATE = 'the deadline has passed',
}

local NOTHING = box.NULL

--- The outcome of one chunk.
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

-- Errors of a former leader, whose transaction was rolled back when another instance was elected, and of a leader whose
-- replicas are too far behind. The change was not applied, so the next leader may be asked. Not every version of
-- Tarantool has all of these errors.
for _, name in ipairs({
    'SYNC_ROLLBACK', 'SYNC_QUEUE_UNCLAIMED', 'SYNC_QUEUE_FOREIGN', 'SYNC_QUEUE_FULL', 'INTERFERING_PROMOTE',
    'INTERFERING_ELECTIONS', 'NOT_LEADER',
}) do
    local code = box.error[name]
    if code ~= nil then
        STATUS_OF_CODE[code] = M.READ_ONLY
    end
end

-- The replicas have not confirmed a transaction in time, but they still may.
for _, name in ipairs({'SYNC_QUORUM_TIMEOUT', 'SYNC_TIMEOUT'}) do
    local code = box.error[name]
    if code ~= nil then
        STATUS_OF_CODE[code] = M.UNKNOWN
    end
end

--- Status and message for an error of the database.
-- @param err a box error object, or any other value that was raised
-- @treturn number status
-- @treturn string message
function M.of_error(err)
    local status = nil
    if type(err) == 'cdata' then
        -- A failed allocation is not a ClientError: it has a type instead of a code.
        status = err.type == 'OutOfMemory' and M.NO_MEMORY or STATUS_OF_CODE[err.code]
    end
    return status or M.REFUSED, tostring(err)
end

return M
