--- A second implementation that reads bodies of chunks: slow, and only for tests, which compare it with the shard.
-- @module slow_reading

local msgpack = require('msgpack')
local outcome = require('tarantkv.outcome')

local M = {}

local KEY_FORMS, BUCKET_FORMS = {}, {[0xcc] = true, [0xcd] = true, [0xce] = true}
for byte = 0xa0, 0xbf do
    KEY_FORMS[byte] = true
end
KEY_FORMS[0xd9], KEY_FORMS[0xda] = true, true
for byte = 0, 0x7f do
    BUCKET_FORMS[byte] = true
end

--- Decode one value of one of these forms.
local function decode(text, at, forms)
    if at > #text or not forms[text:byte(at)] then
        return nil
    end
    local ok, value, after = pcall(msgpack.decode, text, at)
    if ok then
        return after, value
    end
end

local function big_endian(text, at, bytes)
    local number = 0
    for i = at, at + bytes - 1 do
        number = number * 256 + (text:byte(i) or 0)
    end
    return number
end

local FIXED = {
    [0xc0] = 0, [0xc2] = 0, [0xc3] = 0, [0xca] = 4, [0xcb] = 8, [0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8,
    [0xd0] = 1, [0xd1] = 2, [0xd2] = 4, [0xd3] = 8, [0xd4] = 2, [0xd5] = 3, [0xd6] = 5, [0xd7] = 9, [0xd8] = 17,
}
local SIZED = {
    [0xc4] = {1, 0}, [0xc5] = {2, 0}, [0xc6] = {4, 0}, [0xc7] = {1, 1}, [0xc8] = {2, 1}, [0xc9] = {4, 1},
    [0xd9] = {1, 0}, [0xda] = {2, 0}, [0xdb] = {4, 0},
}
local COUNTED = {[0xdc] = {2, 1}, [0xdd] = {4, 1}, [0xde] = {2, 2}, [0xdf] = {4, 2}}

--- Where the MessagePack value at `at` ends, nil when there is none.
local function skip(text, at)
    local byte = text:byte(at)
    local after, count = at + 1, 0
    if byte == nil then
        return nil
    elseif byte >= 0x80 and byte <= 0x8f then
        count = 2 * (byte - 0x80)
    elseif byte >= 0x90 and byte <= 0x9f then
        count = byte - 0x90
    elseif byte >= 0xa0 and byte <= 0xbf then
        after = after + byte - 0xa0
    elseif FIXED[byte] then
        after = after + FIXED[byte]
    elseif SIZED[byte] then
        local width, more = unpack(SIZED[byte])
        after = after + width + more + big_endian(text, at + 1, width)
    elseif COUNTED[byte] then
        local width, factor = unpack(COUNTED[byte])
        after, count = after + width, factor * big_endian(text, at + 1, width)
    elseif byte == 0xc1 then
        return nil
    end
    if after > #text + 1 then
        return nil
    end
    local kind = (byte >= 0xd4 and byte <= 0xd8) and text:byte(at + 1)
        or (byte >= 0xc7 and byte <= 0xc9) and text:byte(at + 1 + SIZED[byte][1])
    if kind and kind >= 1 and kind <= 8 and not pcall(msgpack.decode, text:sub(at, after - 1)) then
        return nil
    end
    for _ = 1, count do
        after = skip(text, after)
        if after == nil then
            return nil
        end
    end
    return after
end

--- Count of the array at `at`, and where its first element is; nil when there is none.
local function header(text, at)
    local byte = text:byte(at)
    local width = ({[0xdc] = 2, [0xdd] = 4})[byte]
    if byte ~= nil and byte >= 0x90 and byte <= 0x9f then
        return byte - 0x90, at + 1
    elseif width ~= nil and at + width <= #text then
        return big_endian(text, at + 1, width), at + 1 + width
    end
end

local INTEGER_FORMS = {}
for byte = 0, 0xff do
    INTEGER_FORMS[byte] = byte <= 0x7f or byte >= 0xe0 or (byte >= 0xcc and byte <= 0xd3) or nil
end

--- Where the integer at `at` ends, nil when there is none, or one past 2^53.
local function decode_whole(text, at)
    local after, number = decode(text, at, INTEGER_FORMS)
    if after ~= nil and math.abs(tonumber(number)) <= 2 ^ 53 then
        return after
    end
end

--- Is it one of the first of two shards?
local function status_of(bucket)
    return (bucket < 1 or bucket > 15000) and outcome.WRONG_BUCKET or outcome.OK
end

local function key_at(text, at)
    local after, key = decode(text, at, KEY_FORMS)
    if after ~= nil and #key >= 1 and #key <= 1024 then
        return after, key
    end
end

--- The correct status of a write's body, and what it would store: the value by key, or true for a key with an expiry,
-- which may have expired at once. The first fault counts. A count that is too large for the bytes comes before all
-- other faults, and buckets of other shards come after all entries.
local function verdict_of_write(text)
    local count, at = header(text, 1)
    if count == nil or count < 1 or count * 5 > #text - at + 1 then
        return outcome.MALFORMED
    end
    local stored, foreign = {}, false
    for _ = 1, count do
        local after_key, key, after_bucket, bucket, after
        local form = text:byte(at)
        if form == 0x93 or form == 0x94 then
            after_key, key = key_at(text, at + 1)
        end
        if after_key ~= nil then
            after_bucket, bucket = decode(text, after_key, BUCKET_FORMS)
        end
        if after_bucket ~= nil then
            after = skip(text, after_bucket)
        end
        local value_end = after
        if after ~= nil and form == 0x94 then
            after = decode_whole(text, after)
        end
        if after == nil then
            return outcome.MALFORMED
        end
        foreign = foreign or status_of(bucket) ~= outcome.OK
        stored[key], at = form == 0x94 or text:sub(after_bucket, value_end - 1), after
    end
    if foreign then
        return outcome.WRONG_BUCKET
    end
    return at == #text + 1 and outcome.OK or outcome.MALFORMED, stored
end

--- The correct status of the body of a read or delete, and the keys that it names.
local function verdict_of_keys(text)
    local count, at
    if text:byte(1) == 0x92 then
        count, at = header(text, 2)
    end
    if count == nil or count < 1 or count * 3 > #text - at + 1 then
        return outcome.MALFORMED
    end
    local keys = {}
    for i = 1, count do
        at, keys[i] = key_at(text, at)
        if at == nil then
            return outcome.MALFORMED
        end
    end
    local buckets
    buckets, at = header(text, at)
    if buckets ~= count then
        return outcome.MALFORMED
    end
    local foreign = false
    for _ = 1, count do
        local bucket
        at, bucket = decode(text, at, BUCKET_FORMS)
        if at == nil then
            return outcome.MALFORMED
        end
        foreign = foreign or status_of(bucket) ~= outcome.OK
    end
    if foreign then
        return outcome.WRONG_BUCKET
    end
    return at == #text + 1 and outcome.OK or outcome.MALFORMED, keys
end

--- The correct status of a body, and what it would store (value by key) or the keys that it names.
function M.verdict(text, is_write)
    if is_write then
        return verdict_of_write(text)
    end
    return verdict_of_keys(text)
end

return M
