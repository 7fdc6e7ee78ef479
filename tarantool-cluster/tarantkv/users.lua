--- User records and revoked tokens. Records are replaced by compare-and-set on their version. The api defines what
-- hashes, scopes and versions mean. The bucket is part of a record's key: a user has one record under each of two
-- buckets. These users are not the users of the database (`tarantkv.access`).
-- @module tarantkv.users

local msgpack = require('msgpack')
local arguments = require('tarantkv.arguments')
local clock = require('tarantkv.clock')
local outcome = require('tarantkv.outcome')
local retention = require('tarantkv.retention')

local M = {}

local MAX_NAME_BYTES = 1024
local MAX_HASH_BYTES = 4096
local MAX_LISTED = 1000

local users, revoked

--- Set the spaces of users and revocations.
function M.attach(user_space, revoked_space)
    users, revoked = user_space, revoked_space
end

--- A stored user as `[password_hash, scopes, disabled, version, not_before]`.
local function record_of(user)
    return {user.password_hash, user.scopes, user.disabled, user.version, user.not_before}
end

--- A record from the wire as the tuple to store, or nil.
local function tuple_of(name, bucket, record)
    if type(record) ~= 'table' or #record ~= 5 then
        return nil
    end
    local hash, version = arguments.text(record[1], MAX_HASH_BYTES), arguments.whole(record[4])
    local scopes, disabled, not_before = record[2], record[3], record[5]
    if hash == nil or version == nil or type(scopes) ~= 'table' or type(disabled) ~= 'boolean' then
        return nil
    end
    for scope in pairs(scopes) do
        if type(scope) ~= 'number' or type(scopes[scope]) ~= 'string' then
            return nil
        end
    end
    if not_before ~= nil and type(tonumber(not_before)) ~= 'number' then
        return nil
    end
    return {name, bucket, hash, scopes, disabled, version, not_before}
end

--- USER_GET `[bucket_id, name, jti]`, payload `[record or nil, whether the token jti is revoked]`.
function M.get(args)
    local name = arguments.text(args[2], MAX_NAME_BYTES)
    local jti = args[3] ~= nil and arguments.text(args[3], MAX_NAME_BYTES) or nil
    if name == nil or (jti == nil and args[3] ~= nil) then
        return outcome.MALFORMED, 'USER_GET takes bucket, name and token id or nil', false
    end
    local user = users:get({name, args[1]})
    local mark = jti ~= nil and revoked:get({name, jti, args[1]}) or nil
    local is_revoked = mark ~= nil and mark.expires > retention.revocations_over(clock.now_ms())
    return outcome.OK, msgpack.encode({user ~= nil and record_of(user) or box.NULL, is_revoked}), false
end

--- Remove a record. It must have the expected version and the expected generation of its password: if a user was
-- removed and created again, its versions begin at 1 again.
local function remove(args, late)
    local name, version = arguments.text(args[2], MAX_NAME_BYTES), arguments.whole(args[4])
    local generation = tonumber(args[5])
    if name == nil or version == nil or generation == nil then
        return outcome.MALFORMED, 'USER_PUT takes bucket, name, nil, the expected version and generation', false
    end
    local user = users:get({name, args[1]})
    if user == nil then
        return outcome.OK, nil, false
    elseif user.version ~= version or tonumber(user.not_before) ~= generation then
        return outcome.CONFLICT, 'the user record has changed in between', false
    elseif late then
        return outcome.EXPIRED, outcome.LATE, false
    end
    users:delete({name, args[1]})
    return outcome.OK, nil, true
end

--- USER_PUT `[bucket_id, name, record, expected_version]`; version 0 expects that there is no record. Without a record,
-- `[bucket_id, name, nil, expected_version, expected_generation]`, it removes the stored one.
-- Repeating a put that was stored is OK, too, so that the api can repeat one whose answer was lost.
function M.put(args, late)
    if args[3] == nil and args.count == 5 then
        return remove(args, late)
    end
    local name, expected = arguments.text(args[2], MAX_NAME_BYTES), arguments.whole(args[4])
    local new = name ~= nil and tuple_of(name, args[1], args[3]) or nil
    if new == nil or expected == nil then
        return outcome.MALFORMED, 'USER_PUT takes bucket, name, a record of five and the expected version', false
    end
    local user = users:get({name, args[1]})
    if user ~= nil and msgpack.encode(user) == msgpack.encode(box.tuple.new(new)) then
        return outcome.OK, nil, false
    elseif (user ~= nil and user.version or 0) ~= expected then
        return outcome.CONFLICT, 'the user record has changed in between', false
    elseif late then
        return outcome.EXPIRED, outcome.LATE, false
    end
    users:replace(new)
    return outcome.OK, nil, true
end

--- REVOKE `[bucket_id, name, jti, expires_ms]`: the revocation is kept until every api refuses the token as expired.
-- `expires_ms` is the token's expiry; `retention` adds leeway and clock skew.
function M.revoke(args, late)
    local name, jti = arguments.text(args[2], MAX_NAME_BYTES), arguments.text(args[3], MAX_NAME_BYTES)
    local expires = arguments.whole(args[4])
    if not (name and jti and expires) then
        return outcome.MALFORMED, 'REVOKE takes bucket, name, token id and expiry in milliseconds', false
    end
    local mark = revoked:get({name, jti, args[1]})
    if mark ~= nil and mark.expires >= expires then
        return outcome.OK, nil, false
    elseif late then
        return outcome.EXPIRED, outcome.LATE, false
    end
    revoked:replace({name, jti, args[1], expires})
    return outcome.OK, nil, true
end

--- USER_LIST `[after_name, limit]`, payload `[[name, record], ...]` in the order of names. Each user is listed once,
-- with the newer of two records.
function M.list(args)
    local after, limit = '', arguments.whole(args[2])
    if args[1] ~= nil then
        after = arguments.bytes(args[1])
    end
    if after == nil or limit == nil or limit < 1 or limit > MAX_LISTED then
        return outcome.MALFORMED, 'USER_LIST takes the last name seen and a limit of 1 to 1000', false
    end
    local found, last = setmetatable({}, {__serialize = 'seq'}), nil
    for _, user in users:pairs(after, {iterator = 'GT'}) do
        if last == nil or user.name ~= last.name then
            if #found == limit then
                break
            end
            found[#found + 1] = {user.name, record_of(user)}
            last = user
        elseif user.version > last.version then
            found[#found] = {user.name, record_of(user)}
            last = user
        end
    end
    return outcome.OK, msgpack.encode(found), false
end

return M
