--- The record of applied chunks: chunk id, until when it must be remembered, and the outcome.
-- A chunk's record is written in the transaction that applies it, which is what makes it applied once or not at all.
-- Old records are removed by `tarantkv.expiry`.
-- @module tarantkv.applied

local ffi = require('ffi')
local bit = require('bit')
local box_api = require('tarantkv.box_api')

local bswap, tobit, floor = bit.bswap, bit.tobit, math.floor

local M = {}

M.ID_BYTES = 16

local WORD = 4294967296
local NIL, UINT64 = 0xc0, 0xcf

local words_t = ffi.typeof('uint32_t *')
local bytes_t = ffi.typeof('const uint8_t *')

-- One record: array of 3, 16-byte string, uint64, then nil or uint32. Filled and handed over without a yield between.
local record = ffi.new('uint8_t[48]')
local AT_ID = 2
local AT_RETAIN = AT_ID + M.ID_BYTES
local AT_RESULT = AT_RETAIN + 9
record[0], record[1], record[AT_RETAIN] = 0x93, 0xa0 + M.ID_BYTES, UINT64
local retain_words = ffi.cast(words_t, record + AT_RETAIN + 1)
local result_word = ffi.cast(words_t, record + AT_RESULT + 1)

-- The key of a record: array of 1, 16-byte string.
local key = ffi.new('uint8_t[24]')
key[0], key[1] = 0x91, 0xa0 + M.ID_BYTES

local found = box_api.result
local space_id

--- Tell the module where the records live, once the space exists.
function M.attach(space)
    space_id = space.id
end

--- The recorded result of a chunk.
-- @tparam string id 16 bytes
-- @treturn boolean whether there is a record
-- @treturn number keys deleted, nil for a write
function M.find(id)
    ffi.copy(key + 2, id, M.ID_BYTES)
    if box_api.get(space_id, 0, key, key + 2 + M.ID_BYTES, found) ~= 0 then
        box.error()
    end
    local tuple = found[0]
    if tuple == nil then
        return false
    end
    local field = ffi.cast(bytes_t, box_api.tuple_field(tuple, 2))
    if field[0] == NIL then
        return true
    end
    return true, field[1] * 16777216 + field[2] * 65536 + field[3] * 256 + field[4]
end

--- Record an applied chunk; inside its transaction. An insert, so that a second application could not be committed.
-- @tparam string id 16 bytes
-- @tparam number retain_until milliseconds since the epoch
-- @tparam[opt] number result keys deleted, nil for a write
-- @treturn boolean false when the database refused (`box.error.last()` says why)
function M.record(id, retain_until, result)
    ffi.copy(record + AT_ID, id, M.ID_BYTES)
    retain_words[0] = bswap(tobit(floor(retain_until / WORD)))
    retain_words[1] = bswap(tobit(retain_until % WORD))
    local size = AT_RESULT + 1
    if result == nil then
        record[AT_RESULT] = NIL
    else
        record[AT_RESULT] = 0xce
        result_word[0] = bswap(tobit(result))
        size = size + 4
    end
    return box_api.insert(space_id, record, record + size, nil) == 0
end

return M
