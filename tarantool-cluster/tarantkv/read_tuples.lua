--- Operation READ_TUPLES: copies the stored tuple of every key of a chunk, with version and expiry.
--
--     payload    [tuple or nil, ...]     MessagePack; the tuples as `tuple` describes them
--
-- @module tarantkv.read_tuples

local ffi = require('ffi')
local body = require('tarantkv.body')
local box_api = require('tarantkv.box_api')
local elements = require('tarantkv.elements')
local outcome = require('tarantkv.outcome')
local read = require('tarantkv.read')
local tuples = require('tarantkv.tuple')

local get, found, tuple_bsize = box_api.get, box_api.result, box_api.tuple_bsize
local end_of_checked_key, index_key = elements.end_of_checked_key, elements.index_key
local parts, expires_of = tuples.parts, tuples.expires_of
local copy = ffi.copy

local M = {}

local space_id

--- Set the space of the keys.
function M.attach(space)
    space_id = space.id
end

--- Read the keys of a body. Parameters and results are those of `tarantkv.read.run`.
function M.run(text, budget, now)
    local status, message, bytes, count, first = body.check_read(text)
    if status ~= nil then
        return status, message
    end
    local limit = math.min(read.MAX_ANSWER_BYTES, budget)
    local header = elements.array_header(count)
    local out, size = read.buffer()
    copy(out, header, #header)
    local used = #header
    local at = first
    for _ = 1, count do
        local stop = end_of_checked_key(bytes, at)
        copy(index_key + 1, bytes + at, stop - at)
        if get(space_id, 0, index_key, index_key + 1 + stop - at, found) ~= 0 then
            return outcome.of_error(box.error.last())
        end
        local stored = found[0]
        local length, start = 0, nil
        if stored ~= nil then
            local key, value, size_of_value, fields = parts(stored)
            if fields < 5 or expires_of(value, size_of_value, fields) > now then
                length = tonumber(tuple_bsize(stored))
                start = key - tuples.head_size(key)
            end
        end
        if used + length + 1 > limit then
            return read.too_much(used + length + 1)
        elseif used + length + 1 > size then
            out, size = read.grown(out, used, used + length + 1)
        end
        if start == nil then
            out[used] = 0xc0
            used = used + 1
        else
            copy(out + used, start, length)
            used = used + length
        end
        at = stop
    end
    read.keep(out, size)
    return outcome.OK, ffi.string(out, used)
end

return M
