--- Records of chunks that were applied or refused: chunk id, until when the record must be kept, and the result.
-- A record is written in the transaction that applies the chunk, so that the chunk is applied once or not at all.
-- A chunk that is refused for its buckets has a record, too. Its sender then sends the keys again in chunks with other
-- ids. If the buckets come back to this shard, a copy of the refused chunk must not be applied.
-- An api process numbers the chunks that it sends to a shard. So the chunks of one transaction mostly have consecutive
-- ids, a run, and one record holds a whole run. Records never overlap.
-- `tarantkv.expiry` removes old records.
-- @module tarantkv.applied

local ffi = require('ffi')
local bit = require('bit')
local box_api = require('tarantkv.box_api')

local bswap, tobit, floor = bit.bswap, bit.tobit, math.floor

local M = {}

M.ID_BYTES = 16

-- A record's key is the first id of its run, followed by the number of ids if it is more than one.
local RUN_BYTES = M.ID_BYTES + 4
local WORD = 4294967296
local NIL, FALSE, UINT32, UINT64 = 0xc0, 0xc2, 0xce, 0xcf
local STRING, STRING_32 = 0xa0, 0xdb

local words_t = ffi.typeof('uint32_t *')
local bytes_t = ffi.typeof('const uint8_t *')

-- One record: array of 3, string of 16 or 20 bytes, uint64, then nil, false, uint32, or a string with 32 bits of
-- length. All fibers share it, because no fiber yields between filling it and storing it.
local record = ffi.new('uint8_t[48]')
local AT_ID = 2
record[0] = 0x93

-- A key to search for: array of 1, string of 20 bytes. The number of ids in it is the greatest possible.
local key = ffi.new('uint8_t[24]')
key[0], key[1] = 0x91, STRING + RUN_BYTES
ffi.fill(key + 2 + M.ID_BYTES, 4, 0xff)
local KEY_BYTES = 2 + RUN_BYTES

-- Two ids as four numbers each, the most significant first.
local left, right = ffi.new('uint32_t[4]'), ffi.new('uint32_t[4]')

local last_up_to, found, tuple_field = box_api.last_up_to, box_api.result, box_api.tuple_field
local space_id

--- Set the space of the records.
function M.attach(space)
    space_id = space.id
end

--- Is `after` the id that follows `id`? A run ends at the greatest value of the last 32 bits.
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

--- The last record that begins at `id` or before it, if its ids belong to the same sequence.
-- @treturn number how many ids are between its last one and `id`: negative if it contains `id`; nil: no such record
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
-- @return number or string, nil for a write, false for a chunk that was refused
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
-- @tparam number count how many ids there are; they are consecutive
function M.has_none(last, count)
    local distance = nearest(last)
    return distance == nil or distance >= count - 1
end

--- Record chunks, inside their transaction. It is an insert, so that a second application cannot be committed.
-- @tparam string id of the first one, 16 bytes
-- @tparam number count how many chunks; their ids are consecutive
-- @tparam number retain_until milliseconds since the epoch
-- @param[opt] result of each of them: a number or a string; nil for writes, false for a refusal
-- @treturn boolean false if the database reported an error (`box.error.last()`)
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
