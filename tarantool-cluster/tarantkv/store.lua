--- Stores and removes single keys: the tuple of `kv` with version and expiry, and the row of `expiring` by which
-- `tarantkv.sweep` finds expired keys. Values are copied as bytes.
--
-- A key has at most one row in `expiring`. If a key is stored without expiry, its old row stays, because looking for
-- one would slow down every write. `tarantkv.sweep` removes it.
-- @module tarantkv.store

local ffi = require('ffi')
local bit = require('bit')
local box_api = require('tarantkv.box_api')
local elements = require('tarantkv.elements')
local shard_clock = require('tarantkv.shard_clock')
local tuples = require('tarantkv.tuple')

local bswap, tobit, floor = bit.bswap, bit.tobit, math.floor
local replace, delete, get, result = box_api.replace, box_api.delete, box_api.get, box_api.result
local end_of_checked_key, index_key = elements.end_of_checked_key, elements.index_key
local parts, expires_of = tuples.parts, tuples.expires_of
local cast, copy = ffi.cast, ffi.copy

local M = {}

local WORD = 4294967296
local UINT64 = 0xcf
local ARRAY_OF_2, ARRAY_OF_4, ARRAY_OF_5 = 0x92, 0x94, 0x95
--- Bytes of a tuple besides key, bucket and value.
local MORE_BYTES = 1 + 9 + 9
local words_t = ffi.typeof('uint32_t *')

--- The buffer in which tuples are built. All fibers share it, because a tuple is stored before anything can yield.
local KEPT_BYTES = 2 * 1024 * 1024
local buffer, room = ffi.new('uint8_t[?]', 65536), 65536
local row = ffi.new('uint8_t[?]', 1 + 3 + elements.MAX_KEY_BYTES + 9)
row[0] = ARRAY_OF_2

local kv, expiring

--- Set the spaces of keys and expiries.
function M.attach(keys, expiries)
    kv, expiring = keys.id, expiries.id
end

local function put_number(bytes, at, upper, lower)
    bytes[at] = UINT64
    local words = cast(words_t, bytes + at + 1)
    words[0], words[1] = bswap(tobit(upper)), bswap(tobit(lower))
end

local function make_room(wanted)
    local size = math.max(wanted, 65536)
    buffer, room = ffi.new('uint8_t[?]', size), size
end

--- Free a large buffer that one tuple needed.
function M.release()
    if room > KEPT_BYTES then
        make_room(0)
    end
end

--- The time at which a key expires that is stored now.
-- @tparam number expiry as in a body (see `body`): 0 keeps the key's, positive: milliseconds from now, negative: a time
-- @tparam cdata bytes
-- @tparam number at where the key begins
-- @treturn number milliseconds since the epoch, 0 for never; nil if the database reported an error
function M.expires_at(expiry, bytes, at, now)
    if expiry > 0 then
        return now + expiry
    elseif expiry < 0 then
        return -expiry
    end
    local ok, stored = M.find(bytes, at, now)
    if not ok then
        return nil
    elseif stored == nil then
        return 0
    end
    local _, value, length, fields = parts(stored)
    return expires_of(value, length, fields)
end

--- Find a key.
-- @tparam cdata bytes
-- @tparam number at where the key begins
-- @treturn boolean false if the database reported an error (`box.error.last()`)
-- @treturn cdata the stored tuple, valid until the next call of the database; nil: the key is absent or has expired
function M.find(bytes, at, now)
    local stop = end_of_checked_key(bytes, at)
    copy(index_key + 1, bytes + at, stop - at)
    if get(kv, 0, index_key, index_key + 1 + stop - at, result) ~= 0 then
        return false, nil
    end
    local stored = result[0]
    if stored == nil or tuples.is_over(stored, now) then
        return true, nil
    end
    return true, stored
end

--- When a key expires.
-- @tparam string key
-- @treturn number milliseconds since the epoch; nil if the key is absent or has no expiry
-- @raise the database's error
function M.expires_of(key)
    local size = #key
    local at = size < 32 and 2 or size < 256 and 3 or 4
    if at == 2 then
        index_key[1] = 0xa0 + size
    elseif at == 3 then
        index_key[1], index_key[2] = 0xd9, size
    else
        index_key[1], index_key[2], index_key[3] = 0xda, floor(size / 256), size % 256
    end
    copy(index_key + at, key, size)
    if get(kv, 0, index_key, index_key + at + size, result) ~= 0 then
        box.error(box.error.last())
    elseif result[0] == nil then
        return nil
    end
    local _, value, length, fields = parts(result[0])
    return fields >= 5 and expires_of(value, length, fields) or nil
end

local function remember(bytes, at, expires)
    local stop = end_of_checked_key(bytes, at)
    copy(row + 1, bytes + at, stop - at)
    local size = 1 + stop - at
    put_number(row, size, floor(expires / WORD), expires % WORD)
    return replace(expiring, row, row + size + 9, nil) == 0
end

--- Store a key; inside a transaction.
-- @tparam cdata bytes with key, bucket and value, one behind the other
-- @tparam number at where the key begins
-- @tparam number stop where the value ends
-- @tparam number upper half of the version
-- @tparam number lower half
-- @tparam number expires milliseconds since the epoch, 0 for never
-- @treturn boolean false if the database reported an error (`box.error.last()`)
function M.put(bytes, at, stop, upper, lower, expires)
    local size = stop - at
    if size + MORE_BYTES > room then
        make_room(size + MORE_BYTES)
    end
    local tuple = buffer
    copy(tuple + 1, bytes + at, size)
    put_number(tuple, 1 + size, upper, lower)
    if expires == 0 then
        tuple[0] = ARRAY_OF_4
        return replace(kv, tuple, tuple + size + 10, nil) == 0
    end
    tuple[0] = ARRAY_OF_5
    put_number(tuple, 10 + size, floor(expires / WORD), expires % WORD)
    return replace(kv, tuple, tuple + size + MORE_BYTES, nil) == 0 and remember(bytes, at, expires)
end

--- Remove a key; inside a transaction.
-- @treturn boolean false if the database reported an error (`box.error.last()`)
-- @treturn boolean whether it was present and had not expired
function M.remove(bytes, at, now)
    local stop = end_of_checked_key(bytes, at)
    copy(index_key + 1, bytes + at, stop - at)
    local key_end = index_key + 1 + stop - at
    if delete(kv, 0, index_key, key_end, result) ~= 0 then
        return false, false
    end
    local removed = result[0]
    if removed == nil then
        return true, false
    end
    local _, value, length, fields = parts(removed)
    if fields < 5 then
        return true, true
    end
    local was_there = expires_of(value, length, fields) > now
    return delete(expiring, 0, index_key, key_end, nil) == 0, was_there
end

--- The shard's time.
M.now_ms = shard_clock.now_ms

return M
