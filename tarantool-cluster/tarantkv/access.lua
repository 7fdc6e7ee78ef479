--- The database's own users: the store user may call the two procedures and nothing else, guest may do nothing.
-- The users of the product live in `tarantkv.users`.
-- @module tarantkv.access

local M = {}

M.PROCEDURES = {'tarantkv.apply', 'tarantkv.describe'}

--- Connectors read these when they connect. The views show a user only what it may access: themselves, here.
local SCHEMA_VIEWS = {'_vspace', '_vindex', '_vcollation', '_vspace_sequence'}

local function ids_of_procedures()
    local ids = {}
    for _, name in ipairs(M.PROCEDURES) do
        ids[box.space._func.index.name:get(name).id] = name
    end
    return ids
end

--- Take the procedures away from everybody but the store user: a user that an earlier setting named keeps nothing.
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

--- Set the password only when it differs, or every start would write to the log.
local function set_password(store_user, password)
    local stored = box.space._user.index.name:get(store_user)
    if stored.auth == nil or stored.auth['chap-sha1'] ~= box.schema.user.password(password) then
        box.schema.user.passwd(store_user, password)
    end
end

--- Make the procedures callable by the store user and by nobody else.
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
        -- Which views there are depends on the version.
        if box.space[view] ~= nil then
            box.schema.user.grant(store_user, 'read', 'space', view, {if_not_exists = true})
        end
    end
    box.schema.user.revoke('guest', 'execute', 'role', 'public', {if_exists = true})
    box.schema.user.disable('guest')
    revoke_from_others(store_user)
end

return M
