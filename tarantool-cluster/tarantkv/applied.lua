--- The record of chunks that are settled: chunk id, until when it must be remembered, and the outcome.
-- A chunk's record is written in the transaction that applies it, which is what makes it applied once or not at all.
-- Where a chunk is refused for its buckets that is on record, too: once its sender is told, the chunk's keys are sent
-- under other ids, and a copy of the chunk must not be applied when the buckets are back here.
-- An api process numbers the chunks that it sends to a shard, so most of what one transaction applies is a run of ids
-- that follow each other: one record stands for the whole run. Records never overlap.
-- Old records are removed by `tarantkv.expiry`.
-- @module tarantkv.applied

local ffi = require('ffi')
local bit = require('bit')
local box_api = require('tarantkv.box_api')

local bswap, tobit, floor = bit.bswap, bit.tobit, math.floor

local M = {}

M.ID_BYTES = 16

-- A record's key is the first id of its run, and the number of ids where they are more than one.
local RUN_BYTES = M.ID_BYTES + 4
local WORD = 4294967296
local NIL, FALSE, UINT32, UINT64 = 0xc0, 0xc2, 0xce, 0xcf
local STRING, STRING_32 = 0xa0, 0xdb

local words_t = ffi.typeof('uint32_t *')
local bytes_t = ffi.typeof('const uint8_t *')

-- One record: array of 3, string of 16 or 20 bytes, uint64, then nil, false, uint32, or a string with 32 bits of
-- length. Filled and handed over without a yield between.
local record = ffi.new('uint8_t[48]')
local AT_ID = 2
record[0] = 0x93

-- A key to look for: array of 1, string of 20 bytes. The number of ids in it is the greatest possible.
local key = ffi.new('uint8_t[24]')
key[0], key[1] = 0x91, STRING + RUN_BYTES
ffi.fill(key + 2 + M.ID_BYTES, 4, 0xff)
local KEY_BYTES = 2 + RUN_BYTES

-- Ids as four numbers, highest first.
local left, right = ffi.new('uint32_t[4]'), ffi.new('uint32_t[4]')

local last_up_to, found, tuple_field = box_api.last_up_to, box_api.result, box_api.tuple_field
local space_id

--- Tell the module where the records live, once the space exists.
function M.attach(space)
    space_id = space.id
end

--- Is `after` the id that follows `id`? Runs end where the last 32 bits are used up.
-- @tparam string id 16 bytes
-- @tparam string after 16 bytes
function M.follows(id, after)
    ffi.copy(left, id, M.ID_BYTES)
    ffi.copy(right, after, M.ID_BYTES)
    return left[0] == right[0] and left[1] == right[1] and left[2] == right[2]
        and tonumber(bswap(left[3])) % WORD + 1 == tonumber(bswap(right[3])) % WORD
end

local function uint32_at(bytes, at)
    return bytes[at] * 16777216 + bytes[at + 1] * 65536 + bytes[at + 2] * 256 + bytes[at + 3]
end

--- The last record that begins at `id` or before it, if it is of the same sequence of ids.
-- @treturn number how many ids lie between its last one and `id`: less than 0 when it covers `id`; nil: no such record
-- @treturn cdata the tuple
local function nearest(id)
    ffi.copy(key + 2, id, M.ID_BYTES)
    if not last_up_to(space_id, 0, key, key + KEY_BYTES) then
        box.error()
    end
    local tuple = found[0]
    if tuple == nil then
        return nil
    end
    local first = ffi.cast(bytes_t, tuple_field(tuple, 0))
    for i = 1, 12 do
        if first[i] ~= key[i + 1] then
            return nil
        end
    end
    local count = first[0] == STRING + RUN_BYTES and uint32_at(first, 1 + M.ID_BYTES) or 1
    return uint32_at(key, 14) - uint32_at(first, 13) - count, tuple
end

--- The recorded result of a chunk.
-- @tparam string id 16 bytes
-- @treturn boolean whether there is a record
-- @return number or string, nil for a write, false for one that was refused
function M.find(id)
    local distance, tuple = nearest(id)
    if distance == nil or distance >= 0 then
        return false
    end
    local field = ffi.cast(bytes_t, tuple_field(tuple, 2))
    if field[0] == NIL then
        return true
    elseif field[0] == FALSE then
        return true, false
    elseif field[0] == STRING_32 then
        return true, ffi.string(field + 5, uint32_at(field, 1))
    end
    return true, uint32_at(field, 1)
end

--- Is there no record of any of these ids?
-- @tparam string last the last of them, 16 bytes
-- @tparam number count how many there are, each following the one before
function M.has_none(last, count)
    local distance = nearest(last)
    return distance == nil or distance >= count - 1
end

--- Record settled chunks; inside their transaction. An insert, so that a second application could not be committed.
-- @tparam string id the first one's, 16 bytes
-- @tparam number count how many, each id following the one before
-- @tparam number retain_until milliseconds since the epoch
-- @param[opt] result of each of them: a number, or a string; nil for writes, false for a refusal
-- @treturn boolean false when the database refused (`box.error.last()` says why)
function M.record(id, count, retain_until, result)
    ffi.copy(record + AT_ID, id, M.ID_BYTES)
    local at = AT_ID + M.ID_BYTES
    if count > 1 then
        ffi.cast(words_t, record + at)[0] = bswap(tobit(count))
        at = at + 4
    end
    record[1] = STRING + at - AT_ID
    record[at] = UINT64
    local retain_words = ffi.cast(words_t, record + at + 1)
    retain_words[0] = bswap(tobit(floor(retain_until / WORD)))
    retain_words[1] = bswap(tobit(retain_until % WORD))
    at = at + 9
    local bytes = record
    if not result then
        record[at] = result == nil and NIL or FALSE
        at = at + 1
    elseif type(result) == 'string' then
        bytes = ffi.new('uint8_t[?]', at + 5 + #result)
        ffi.copy(bytes, record, at)
        bytes[at] = STRING_32
        ffi.cast(words_t, bytes + at + 1)[0] = bswap(tobit(#result))
        ffi.copy(bytes + at + 5, result, #result)
        at = at + 5 + #result
    else
        record[at] = UINT32
        ffi.cast(words_t, record + at + 1)[0] = bswap(tobit(result))
        at = at + 5
    end
    return box_api.insert(space_id, bytes, bytes + at, nil) == 0
end

return M
