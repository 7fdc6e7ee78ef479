--- Control operations: small ones whose bodies and payloads are MessagePack, each in a transaction of its own.
-- This module decodes, runs, commits and confirms; what the operations do is in `claims`, `users` and `describe`.
-- @module tarantkv.control

local ffi = require('ffi')
local msgpack = require('msgpack')
local claims = require('tarantkv.claims')
local clock = require('tarantkv.clock')
local describe = require('tarantkv.describe')
local operations = require('tarantkv.operations')
local outcome = require('tarantkv.outcome')
local ownership = require('tarantkv.ownership')
local users = require('tarantkv.users')
local visibility = require('tarantkv.visibility')
local wellformed = require('tarantkv.wellformed')

local M = {}

local bytes_t = ffi.typeof('const uint8_t *')

--- By operation number: `run(args, body)` gives status, payload and whether it changed anything; `has_bucket` says that
-- the first argument is a bucket, which this shard must own.
local OPERATIONS = {
    [operations.CLAIM] = {run = claims.claim, has_bucket = true},
    [operations.FINISH] = {run = claims.finish, has_bucket = true},
    [operations.USER_GET] = {run = users.get, has_bucket = true},
    [operations.USER_PUT] = {run = users.put, has_bucket = true},
    [operations.REVOKE] = {run = users.revoke, has_bucket = true},
    [operations.USER_LIST] = {run = users.list, has_bucket = false},
    [operations.DESCRIBE] = {run = describe.run, has_bucket = false},
}

--- First bytes of a MessagePack array: an empty map would look the same once it is decoded.
local ARRAY_HEADERS = {[0xdc] = true, [0xdd] = true}
for byte = 0x90, 0x9f do
    ARRAY_HEADERS[byte] = true
end

--- Is there a control operation of this number?
function M.knows(op)
    return OPERATIONS[op] ~= nil
end

--- Is a text one MessagePack array? Looked at before it is decoded: Tarantool's decoder is recursive, and some thousand
-- levels end the process.
local function is_array(text)
    local size = #text
    return size > 0 and ARRAY_HEADERS[text:byte(1)]
        and wellformed.end_of_value(ffi.cast(bytes_t, text), 0, size) == size
end

--- The arguments in a body, or nil and the fault.
local function arguments(operation, text)
    local ok, args
    if is_array(text) then
        ok, args = pcall(msgpack.decode, text)
    end
    if not ok then
        return nil, outcome.MALFORMED, 'the body is not one MessagePack array'
    end
    if operation.has_bucket then
        local bucket = args[1]
        if type(bucket) ~= 'number' or bucket < 0 or bucket ~= math.floor(bucket) then
            return nil, outcome.MALFORMED, 'the first argument is not a bucket'
        elseif not ownership.owns(bucket) then
            return nil, outcome.WRONG_BUCKET, 'the shard does not own the bucket'
        end
    end
    return args
end

--- Run a control operation.
-- @tparam number op
-- @tparam string text MessagePack array of arguments
-- @tparam number deadline_ms
-- @treturn number status
-- @treturn string payload, or the message of a fault
function M.run(op, text, deadline_ms)
    local operation = OPERATIONS[op]
    local args, fault, message = arguments(operation, text)
    if args == nil then
        return fault, message
    end
    while clock.now_ms() < deadline_ms do
        local seen, failed = visibility.mark()
        box.begin()
        local ok, status, payload, changed = pcall(operation.run, args, text)
        if not ok then
            box.rollback()
            return outcome.of_error(status)
        end
        if changed then
            local stored, err = visibility.commit()
            if not stored then
                return outcome.of_error(err)
            end
            return status, payload
        end
        box.rollback()
        -- Without a deadline, like a commit: what is found may be the work of an earlier try of this very chunk, and
        -- EXPIRED would deny it.
        if visibility.confirm(seen, failed) == 'stored' then
            return status, payload
        end
    end
    return outcome.EXPIRED, 'the deadline has passed'
end

return M
