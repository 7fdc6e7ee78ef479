--- What this storage needs of vshard beyond its public interface, for the versions for which that was tried. Another
-- version is refused: its inside may mean something else.
--
-- vshard lets a new leader change `_bucket` only once all replicas have answered, dead ones too. Here `_bucket` is
-- synchronous, so an elected leader has every change of it that was ever confirmed: it may go on at once.
-- @module tarantkv.vshard_pin

local fiber = require('fiber')

local M = {}

M.VERSION = '0.1.42'

--- How long vshard is given to see that this instance leads, and how often that is looked at.
local MASTER_S, LOOK_S = 10, 0.02

--- Shorter than vshard's own, which are made for buckets that move in the background for hours.
local CONSTANTS = {
    -- A bucket that is about to move takes no changes while a replica is waited for.
    DEFAULT_BUCKET_SYNC_TIMEOUT = 1,
    RECOVERY_BACKOFF_INTERVAL = 0.3,
    WAIT_LSN_STEP = 0.005,
    MASTER_SEARCH_IDLE_INTERVAL = 1,
    MASTER_SEARCH_WORK_INTERVAL = 0.5,
    MASTER_SEARCH_BACKOFF_INTERVAL = 0.5,
    MASTER_SEARCH_TIMEOUT = 1,
}

--- What is used of the inside of vshard's storage: the type of each.
local INSIDE = {is_bucket_in_sync = 'boolean', is_master = 'boolean'}

--- What keeps a version of vshard from being used.
-- @tparam table constants its module `vshard.consts`
-- @tparam ?table inside `vshard.storage.internal`
-- @treturn string one line, nil where there is nothing
function M.fault(constants, inside)
    if constants.VERSION ~= M.VERSION then
        return ('vshard %s is installed, and this storage works with %s'):format(tostring(constants.VERSION), M.VERSION)
    end
    for name in pairs(CONSTANTS) do
        if type(constants[name]) ~= 'number' then
            return ('vshard %s has no constant %s'):format(M.VERSION, name)
        end
    end
    for name, kind in pairs(INSIDE) do
        if type(inside) ~= 'table' or type(inside[name]) ~= kind then
            return ('vshard %s has no %s inside'):format(M.VERSION, name)
        end
    end
    return nil
end

--- Set the constants; refuse a version that is not known.
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

--- Have an elected leader change `_bucket` from now on, which is synchronous.
-- @raise where vshard does not see in time that this instance leads
function M.end_master_sync()
    local inside = require('vshard.storage').internal
    local ends = fiber.clock() + MASTER_S
    while not inside.is_master do
        if box.info.ro or fiber.clock() > ends then
            error('vshard does not see that this instance leads', 0)
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
