--- Whether this instance may answer for its shard. Only the leader answers, reads too: a replica's data may be old.
-- An elected instance leads only after it has taken over: until then its modules do not know what the leader before it
-- stored last.
-- @module tarantkv.leader

local M = {}

M.NO_LEADER = 'this instance does not lead its shard'

local is_alone, takes_over = true, false
--- The election term in which this instance has taken over.
local term = nil

--- Set the number of instances that the shard has. A single instance answers reads even while it is read-only, because
-- no other instance can have newer data.
function M.configure(instances)
    is_alone, takes_over = instances == 1, false
end

--- Let the instance lead only in terms in which it has taken over.
function M.follow_elections()
    is_alone, takes_over, term = false, true, nil
end

--- The term in which this instance is the elected leader and may write; nil if it is not the leader.
function M.elected_term()
    return not box.info.ro and box.info.election.term or nil
end

--- Note that this instance has taken over in a term.
function M.take_over(elected_term)
    term = elected_term
end

--- Does this instance take changes?
function M.takes_changes()
    return not box.info.ro and (not takes_over or box.info.election.term == term)
end

--- Does this instance lead?
function M.leads()
    return is_alone or M.takes_changes()
end

return M
