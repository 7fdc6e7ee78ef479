--- The operations on keys whose payloads are MessagePack, as tests call them. No behaviour is tested here.

local msgpack = require('msgpack')
local support = require('support')

local M = {}

--- Run an operation whose payload is MessagePack, and decode it.
local function decoded(op, body, options)
    local status, payload = support.run(op, body, options)
    assert(status == 0, payload)
    return msgpack.decode(payload)
end

--- The stored tuples of keys; nil for an absent key.
function M.tuples(keys)
    return decoded(support.READ_TUPLES, support.keys_body(keys))
end

--- Body of an update of `{{key, value, condition, expiry}, ...}`; no condition is nil.
function M.update_body(updates)
    local entries, conditions = {}, {}
    for i, each in ipairs(updates) do
        entries[i] = support.write_entry(each[1], msgpack.encode(each[2]), nil, each[4])
        conditions[i] = msgpack.encode(each[3] == nil and box.NULL or each[3])
    end
    return '\x92' .. support.body(entries) .. support.body(conditions)
end

--- Update keys; gives `{version = …, failed = …}`.
function M.update(updates, options)
    local told = decoded(support.UPDATE, M.update_body(updates), options)
    return {version = told[1], failed = told[2]}
end

--- Body of a list of keys, a list of their buckets, and a further list.
local function lists_body(keys, third)
    local encoded = {}
    for i in ipairs(keys) do
        encoded[i] = msgpack.encode(third[i] == nil and box.NULL or third[i])
    end
    return '\x93' .. support.keys_body(keys):sub(2) .. support.body(encoded)
end

M.lists_body = lists_body

--- Delete `{{key, condition}, ...}`; gives `{deleted = …, failed = …}`.
function M.delete_if(deletes, options)
    local keys, conditions = {}, {}
    for i, each in ipairs(deletes) do
        keys[i], conditions[i] = each[1], each[2]
    end
    local told = decoded(support.DELETE_IF, lists_body(keys, conditions), options)
    return {deleted = told[1], failed = told[2]}
end

--- Touch keys; gives the positions of the absent keys.
function M.touch(keys, expiries, options)
    return decoded(support.TOUCH, lists_body(keys, expiries), options)
end

--- Body of increments `{{key, delta, {initial, min, max, expiry, always}}, ...}`.
function M.increment_body(increments)
    local entries = {}
    for i, each in ipairs(increments) do
        local options = each[3] or {}
        local parts = {'\x98'}
        for _, part in ipairs({
            each[1], support.bucket_of(each[1]), each[2],
            options.initial or 0, options.min or box.NULL, options.max or box.NULL, options.expiry or box.NULL,
            options.always or false,
        }) do
            table.insert(parts, msgpack.encode(part))
        end
        entries[i] = table.concat(parts)
    end
    return support.body(entries)
end

--- Increment keys; gives `{values = …, failed = …}`.
function M.increment(increments, options)
    local told = decoded(support.INCREMENT, M.increment_body(increments), options)
    return {values = told[1], failed = told[2]}
end

return M
