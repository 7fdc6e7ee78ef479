--- Whether this instance may answer for its shard: only the leader does, reads too. What a replica has may be old.
-- An instance of a replica set that has just been elected leads once it has taken over: until then its modules know
-- nothing of what its predecessor stored last.
-- @module tarantkv.leader

local M = {}

M.NO_LEADER = 'this instance does not lead its shard'

local is_alone, takes_over = true, false
--- The term of the election after which it has taken over.
local term = nil

--- Take the number of instances that the shard has. One alone answers reads also while it takes no changes: there is no
-- other that could know better.
function M.configure(instances)
    is_alone, takes_over = instances == 1, false
end

--- Have the instance lead in terms only for which it has taken over.
function M.follow_elections()
    is_alone, takes_over, term = false, true, nil
end

--- The term of which this instance is the elected leader and may write; nil if it is none.
function M.elected_term()
    return not box.info.ro and box.info.election.term or nil
end

--- Say that everything is ready for this instance to lead in a term.
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
