--- The internals of vshard that this storage uses, for the version with which they were tested. Another version is
-- refused, because its internals may have another meaning.
--
-- vshard lets a new leader change `_bucket` only after all replicas have answered, even dead ones. Here `_bucket` is
-- synchronous. So an elected leader has every confirmed change of it, and may change it at once.
-- @module tarantkv.vshard_pin

local fiber = require('fiber')

local M = {}

M.VERSION = '0.1.42'

--- How long to wait until vshard knows that this instance leads, and how often to check.
local MASTER_S, LOOK_S = 10, 0.02

--- Times that are shorter than vshard's own, which are meant for buckets that move in the background for hours.
local CONSTANTS = {
    -- While vshard waits for a replica, the bucket that is about to move takes no changes.
    DEFAULT_BUCKET_SYNC_TIMEOUT = 1,
    RECOVERY_BACKOFF_INTERVAL = 0.3,
    WAIT_LSN_STEP = 0.005,
    MASTER_SEARCH_IDLE_INTERVAL = 1,
    MASTER_SEARCH_WORK_INTERVAL = 0.5,
    MASTER_SEARCH_BACKOFF_INTERVAL = 0.5,
    MASTER_SEARCH_TIMEOUT = 1,
}

--- The fields of vshard's storage that are used, with their types.
local INSIDE = {is_bucket_in_sync = 'boolean', is_master = 'boolean'}

--- The reason why this vshard cannot be used.
-- @tparam table constants its module `vshard.consts`
-- @tparam ?table inside `vshard.storage.internal`
-- @treturn string one line, nil if it can be used
function M.fault(constants, inside)
    if constants.VERSION ~= M.VERSION then
        return ('vshard %s is installed, but this storage needs %s'):format(tostring(constants.VERSION), M.VERSION)
    end
    for name in pairs(CONSTANTS) do
        if type(constants[name]) ~= 'number' then
            return ('vshard %s has no constant %s'):format(M.VERSION, name)
        end
    end
    for name, kind in pairs(INSIDE) do
        if type(inside) ~= 'table' or type(inside[name]) ~= kind then
            return ('vshard %s has no internal field %s'):format(M.VERSION, name)
        end
    end
    return nil
end

--- Set the constants. Raises an error for another version of vshard.
function M.prepare()
    local constants = require('vshard.consts')
    local fault = M.fault(constants, require('vshard.storage').internal)
    if fault ~= nil then
        error(fault, 0)
    end
    for name, value in pairs(CONSTANTS) do
        constants[name] = value
    end
end

--- Let this elected leader change `_bucket` from now on.
-- @raise a text, if vshard does not notice in time that this instance leads
function M.end_master_sync()
    local inside = require('vshard.storage').internal
    local ends = fiber.clock() + MASTER_S
    while not inside.is_master do
        if box.info.ro or fiber.clock() > ends then
            error('vshard has not noticed that this instance leads', 0)
        end
        fiber.sleep(LOOK_S)
    end
    if not inside.is_bucket_in_sync then
        local waiting = inside.master_sync_fiber
        inside.master_sync_fiber, inside.is_bucket_in_sync = nil, true
        if waiting ~= nil then
            waiting:cancel()
        end
    end
end

return M
