--- Whether this instance may answer for its shard: only the leader does, reads too. What a replica has may be old.
-- @module tarantkv.leader

local M = {}

M.NO_LEADER = 'this instance does not lead its shard'

local is_alone = true

--- Take the number of instances that the shard has. One alone answers reads also while it takes no changes: there is no
-- other that could know better.
function M.configure(instances)
    is_alone = instances == 1
end

--- Does this instance lead?
function M.leads()
    return is_alone or not box.info.ro
end

return M
