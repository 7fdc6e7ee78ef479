--- The users of the database: the store user may call the two procedures and nothing else, guest may do nothing.
-- The users of tarant-kv are in `tarantkv.users`.
-- @module tarantkv.access

local M = {}

M.PROCEDURES = {'tarantkv.apply', 'tarantkv.describe'}

--- Connectors read these views when they connect. A view shows a user only what it may access: here only the views.
local SCHEMA_VIEWS = {'_vspace', '_vindex', '_vcollation', '_vspace_sequence'}

local function ids_of_procedures()
    local ids = {}
    for _, name in ipairs(M.PROCEDURES) do
        ids[box.space._func.index.name:get(name).id] = name
    end
    return ids
end

--- Revoke the procedures from every other user, such as a store user that an earlier setting named.
local function revoke_from_others(store_user)
    local ids = ids_of_procedures()
    local outdated = {}
    for _, grant in box.space._priv:pairs() do
        local name = grant.object_type == 'function' and ids[grant.object_id] or nil
        local user = name ~= nil and box.space._user:get(grant.grantee) or nil
        if user ~= nil and user.name ~= store_user and user.name ~= 'admin' then
            table.insert(outdated, {user.name, name})
        end
    end
    for _, grant in ipairs(outdated) do
        box.schema.user.revoke(grant[1], 'execute', 'function', grant[2], {if_exists = true})
    end
end

--- Set the password only if it differs, so that a start does not write to the log each time.
local function set_password(store_user, password)
    local stored = box.space._user.index.name:get(store_user)
    if stored.auth == nil or stored.auth['chap-sha1'] ~= box.schema.user.password(password) then
        box.schema.user.passwd(store_user, password)
    end
end

--- Let the store user call the procedures, and no other user.
-- @tparam string store_user
-- @tparam string password
function M.establish(store_user, password)
    for _, name in ipairs(M.PROCEDURES) do
        box.schema.func.create(name, {setuid = true, if_not_exists = true})
    end
    box.schema.user.create(store_user, {password = password, if_not_exists = true})
    set_password(store_user, password)
    for _, name in ipairs(M.PROCEDURES) do
        box.schema.user.grant(store_user, 'execute', 'function', name, {if_not_exists = true})
    end
    box.schema.user.revoke(store_user, 'execute', 'role', 'public', {if_exists = true})
    for _, view in ipairs(SCHEMA_VIEWS) do
        -- Which views exist depends on Tarantool's version.
        if box.space[view] ~= nil then
            box.schema.user.grant(store_user, 'read', 'space', view, {if_not_exists = true})
        end
    end
    box.schema.user.revoke('guest', 'execute', 'role', 'public', {if_exists = true})
    box.schema.user.disable('guest')
    revoke_from_others(store_user)
end

return M
