--- Operation READ: copies the stored value of every key of a chunk into one blob.
--
--     u32 LE count | count x u32 LE length (0: the key is absent) | values
--
-- The values may not be in the log yet: `tarantkv.apply` decides when the answer may be sent.
-- @module tarantkv.read

local ffi = require('ffi')
local body = require('tarantkv.body')
local box_api = require('tarantkv.box_api')
local elements = require('tarantkv.elements')
local outcome = require('tarantkv.outcome')
local tuples = require('tarantkv.tuple')

local get, found = box_api.get, box_api.result
local parts, expires_of = tuples.parts, tuples.expires_of
local end_of_checked_key, index_key = elements.end_of_checked_key, elements.index_key
local copy = ffi.copy

local M = {}

--- Largest answer of one chunk. It is not a setting: it only keeps a faulty caller from filling the memory.
M.MAX_ANSWER_BYTES = 64 * 1024 * 1024

--- The buffer in which answers are built. It is kept between calls up to a size. All fibers share it: a read never
-- yields before its answer has been copied into a Lua string.
local KEPT_BYTES = 4 * 1024 * 1024
local buffer, capacity = ffi.new('uint8_t[?]', 65536), 65536
local words_t = ffi.typeof('uint32_t *')

local space_id

--- Set the space of the keys.
function M.attach(space)
    space_id = space.id
end

--- A larger buffer with the same content.
function M.grown(old, used, wanted)
    local size = math.max(wanted, math.min(2 * used, M.MAX_ANSWER_BYTES))
    local new = ffi.new('uint8_t[?]', size)
    copy(new, old, used)
    return new, size
end

local grown = M.grown

--- The buffer for an answer, and its size.
function M.buffer()
    return buffer, capacity
end

--- Keep a grown buffer for later calls, unless it is too large.
function M.keep(out, size)
    if size <= KEPT_BYTES then
        buffer, capacity = out, size
    end
end

--- The outcome of a read whose answer is too large.
function M.too_much(wanted)
    if wanted > M.MAX_ANSWER_BYTES then
        return outcome.TOO_LARGE, 'the answer is larger than 64 MiB, ask for fewer keys'
    end
    return outcome.NO_MEMORY, 'too many large answers in one call, send the read again'
end

--- Read the keys of a body.
-- @tparam string text the body
-- @tparam number budget bytes that the earlier answers of the call have left
-- @tparam number now of `tarantkv.shard_clock`, milliseconds since the epoch
-- @treturn number status
-- @treturn string the blob, or the message of a fault
function M.run(text, budget, now)
    local status, message, bytes, count, first = body.check_read(text)
    if status ~= nil then
        return status, message
    end

    local limit = math.min(M.MAX_ANSWER_BYTES, budget)
    local out, size = buffer, capacity
    local used = 4 + 4 * count
    if used > size then
        out, size = grown(out, 0, used)
    end
    local sizes = ffi.cast(words_t, out)
    sizes[0] = count
    local at = first
    for i = 1, count do
        local stop = end_of_checked_key(bytes, at)
        copy(index_key + 1, bytes + at, stop - at)
        if get(space_id, 0, index_key, index_key + 1 + stop - at, found) ~= 0 then
            return outcome.of_error(box.error.last())
        end
        local stored = found[0]
        local length = 0
        if stored ~= nil then
            local _, value, size_of_value, fields = parts(stored)
            if fields < 5 or expires_of(value, size_of_value, fields) > now then
                length = size_of_value
                if used + length > limit then
                    return M.too_much(used + length)
                end
                if used + length > size then
                    out, size = grown(out, used, used + length)
                    sizes = ffi.cast(words_t, out)
                end
                copy(out + used, value, length)
                used = used + length
            end
        end
        sizes[i] = length
        at = stop
    end
    M.keep(out, size)
    return outcome.OK, ffi.string(out, used)
end

return M
