--- Control operations: small operations whose bodies and payloads are MessagePack. This module checks a body and calls
-- the operation; `tarantkv.apply` puts it into a transaction. The operations are in `claims`, `users`, `describe` and
-- `identity`.
-- @module tarantkv.control

local ffi = require('ffi')
local msgpack = require('msgpack')
local applied = require('tarantkv.applied')
local elements = require('tarantkv.elements')
local claims = require('tarantkv.claims')
local describe = require('tarantkv.describe')
local identity = require('tarantkv.identity')
local operations = require('tarantkv.operations')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')
local retention = require('tarantkv.retention')
local users = require('tarantkv.users')
local wellformed = require('tarantkv.wellformed')

local M = {}

local bytes_t = ffi.typeof('const uint8_t *')
local array_at, end_of_value = elements.array_at, wellformed.end_of_value

--- By operation number:
--   run          `run(args, late)` returns status, payload and whether it changed anything. It runs in a transaction
--                and never yields. `late`: the deadline has passed; it may answer from records, but must change nothing
--   has_bucket   the first argument is a bucket, which this shard must be allowed to change or to read. There is no
--                record of a refusal: if the bucket comes back, a copy of the operation may still be applied, but only
--                once, and it replaces nothing newer (`claims`, `recorded`)
--   recorded     a change is recorded under the chunk's id, like a change of keys: a copy may arrive after the user was
--                removed or created again, and must not bring back the old record
--   only_reads   it has no record from which a late copy could be answered
--   opaque       the number of the argument that is passed on as MessagePack, of any size
local OPERATIONS = {
    [operations.CLAIM] = {run = claims.claim, has_bucket = true},
    [operations.FINISH] = {run = claims.finish, has_bucket = true, opaque = 5},
    [operations.USER_GET] = {run = users.get, has_bucket = true, only_reads = true},
    [operations.USER_PUT] = {run = users.put, has_bucket = true, recorded = true},
    [operations.REVOKE] = {run = users.revoke, has_bucket = true},
    [operations.USER_LIST] = {run = users.list, only_reads = true},
    [operations.DESCRIBE] = {run = describe.run, only_reads = true},
    [operations.STATUS] = {run = describe.status, only_reads = true},
    [operations.JOIN] = {run = identity.join},
}

--- Limits of the number of arguments, and of the bytes of one that is decoded, so that no body creates millions of Lua
-- objects.
local MAX_ARGUMENTS = 16
local MAX_ARGUMENT_BYTES = 65536

--- Is there a control operation of this number?
function M.knows(op)
    return OPERATIONS[op] ~= nil
end

--- The arguments in a body.
-- Each is checked before it is decoded: Tarantool's decoder is recursive, and thousands of levels would crash the
-- process.
-- @treturn table with `count`; nil if the body is not one MessagePack array of few and small arguments
local function arguments(operation, text)
    local bytes, size = ffi.cast(bytes_t, text), #text
    local count, at = array_at(bytes, 0, size)
    if at == 0 or count > MAX_ARGUMENTS then
        return nil
    end
    local args = {count = count}
    for i = 1, count do
        local stop = at < size and end_of_value(bytes, at, size) or 0
        if stop == 0 then
            return nil
        elseif i == operation.opaque then
            args[i] = text:sub(at + 1, stop)
        elseif stop - at > MAX_ARGUMENT_BYTES then
            return nil
        else
            args[i] = msgpack.decode(text, at + 1)
        end
        at = stop
    end
    return at == size and args or nil
end

local function is_bucket(value)
    return type(value) == 'number' and value >= 0 and value == math.floor(value)
end

--- Check a control operation, and store its arguments in the chunk.
-- @tparam table chunk with `op` and `text`, gets `args`
-- @treturn number status of a fault, nil if there is none
-- @treturn string message of the fault
function M.check(chunk)
    local operation = OPERATIONS[chunk.op]
    -- The decoder raises an error for extension types that it does not know.
    local ok, args = pcall(arguments, operation, chunk.text)
    if not ok or args == nil then
        return outcome.MALFORMED, 'the body is not one MessagePack array of few and small arguments'
    elseif operation.has_bucket and not is_bucket(args[1]) then
        return outcome.MALFORMED, 'the first argument is not a bucket'
    end
    chunk.args = args
    return nil
end

--- Run a checked control operation; inside a transaction.
-- @tparam table chunk
-- @tparam number now milliseconds since the epoch
-- @treturn number status
-- @treturn string payload, or the message of a fault
-- @treturn boolean whether anything was changed
-- @raise the database's error
function M.run(chunk, now)
    local operation = OPERATIONS[chunk.op]
    if operation.recorded and applied.find(chunk.id) then
        return outcome.OK, nil, false
    end
    if operation.has_bucket then
        local may = operation.only_reads and ownership.readable or ownership.writable
        if not may(chunk.args[1]) then
            return outcome.WRONG_BUCKET, ownership.refusal({chunk.args[1]}), false
        end
    end
    local is_late = chunk.deadline <= now
    if is_late and operation.only_reads then
        return outcome.EXPIRED, outcome.LATE, false
    end
    local status, payload, changed = operation.run(chunk.args, is_late)
    if changed and operation.recorded
            and not applied.record(chunk.id, 1, retention.of_chunk(now, chunk.deadline, chunk.retain)) then
        box.error(box.error.last())
    end
    return status, payload, changed
end

return M
