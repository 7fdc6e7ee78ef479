--- Applies the changes and control operations of a call in one transaction, together with the records of its chunks.
-- Also finds the chunks that are on record already. `apply` decides when an outcome may be reported.
-- @module tarantkv.changes

local applied = require('tarantkv.applied')
local body = require('tarantkv.body')
local conditions = require('tarantkv.conditions')
local control = require('tarantkv.control')
local delete = require('tarantkv.delete')
local increment = require('tarantkv.increment')
local keyed = require('tarantkv.keyed')
local operations = require('tarantkv.operations')
local outcome = require('tarantkv.outcome')
local retention = require('tarantkv.retention')
local shard_clock = require('tarantkv.shard_clock')
local touch = require('tarantkv.touch')
local visibility = require('tarantkv.visibility')
local write = require('tarantkv.write')

local M = {}

--- By operation number:
--   check    `check(text)` returns status and message of a fault, or nil, nil, bytes, count, place and where the second
--            part of the body begins, if it has one
--   apply    `apply(bytes, count, place, now, second)` runs inside a transaction and never yields. It returns false if
--            the database reported an error, or true and the result: nothing, a number, or a text
local CHANGES = {
    [operations.WRITE] = write,
    [operations.DELETE] = delete,
    [operations.UPDATE] = conditions.update,
    [operations.DELETE_IF] = conditions.delete_if,
    [operations.INCREMENT] = increment,
    [operations.TOUCH] = touch,
    [operations.KEYED] = keyed,
}

--- The outcome of a chunk whose refusal is on record. It names no buckets: they may have moved since then.
local REFUSED = outcome.answer(outcome.WRONG_BUCKET, '\x90')

local answer = outcome.answer
local max = math.max

local applications = nil

--- Set the space in which applications of chunks are counted; nil: they are not counted.
function M.configure(count_space)
    applications = count_space
    keyed.configure(CHANGES, count_space)
end

--- Is this the number of an operation that changes keys?
function M.knows(op)
    return CHANGES[op] ~= nil
end

--- Record chunks inside their transaction, with one record for each run of ids.
-- @tparam table chunks in the order of the call
-- @tparam table results the result of each, nil for a write, false for a refusal
-- @treturn boolean false if the database reported an error
local function record(chunks, results, now)
    local i = 1
    while i <= #chunks do
        local first, result = chunks[i], results[i]
        local retain_until = retention.of_chunk(now, first.deadline, first.retain)
        local count = 1
        while result == nil and i + count <= #chunks and results[i + count] == nil
                and applied.follows(chunks[i + count - 1].id, chunks[i + count].id) do
            local chunk = chunks[i + count]
            retain_until = max(retain_until, retention.of_chunk(now, chunk.deadline, chunk.retain))
            count = count + 1
        end
        if not applied.record(first.id, count, retain_until, result) then
            return false
        end
        i = i + count
    end
    return true
end

--- Apply a chunk; inside a transaction.
-- @treturn table its outcome
-- @return its result
-- @raise the database's error
local function apply_one(chunk, shard_now)
    local ok, result = CHANGES[chunk.op].apply(chunk.bytes, chunk.count, chunk.place, shard_now, chunk.second)
    if not ok then
        box.error(box.error.last())
    end
    if applications ~= nil then
        applications:upsert({chunk.id, 1}, {{'+', 2, 1}})
    end
    return answer(outcome.OK, result), result
end

--- Apply the chunks or record their refusal, and run the control operations; inside a transaction.
-- @treturn table the outcomes of the chunks
-- @treturn table `{status, payload, changed}` of the control operations
-- @treturn boolean whether anything was changed
-- @raise the database's error
local function change_all(chunks, controls, now)
    local answers, results = {}, {}
    local shard_now = #chunks > 0 and shard_clock.now_ms() or 0
    for i, chunk in ipairs(chunks) do
        if chunk.refusal then
            answers[i], results[i] = answer(outcome.WRONG_BUCKET, chunk.refusal), false
        else
            answers[i], results[i] = apply_one(chunk, shard_now)
        end
    end
    if not record(chunks, results, now) then
        box.error(box.error.last())
    end
    local said, has_changed = {}, #chunks > 0
    for i, chunk in ipairs(controls) do
        local status, payload, changed = control.run(chunk, now)
        said[i] = {status, payload, changed}
        has_changed = has_changed or changed
    end
    return answers, said, has_changed
end

--- Apply or refuse chunks and run control operations in one transaction, as a whole or not at all.
-- @tparam table chunks changes of keys, checked and not on record
-- @tparam table controls control operations, checked
-- @tparam number now milliseconds since the epoch
-- @treturn boolean whether all of it is in the log
-- @treturn table the outcomes of the chunks, or the error
-- @treturn table `{status, payload, changed}` of the control operations
function M.commit(chunks, controls, now)
    box.begin()
    local ok, answers, said, has_changed = pcall(change_all, chunks, controls, now)
    if not ok then
        box.rollback()
        return false, answers
    elseif not has_changed then
        box.rollback()
        return true, answers, said
    end
    local stored, err = visibility.commit()
    return stored, stored and answers or err, said
end

--- Plan a KEYED change, which has a record for each bucket.
-- @treturn table the outcome if nothing is to be applied
-- @treturn boolean whether that is because all its buckets are on record
local function planned(chunk, now)
    local status, message, plan = keyed.plan(chunk.text)
    if plan ~= nil and plan.missing == 0 then
        return answer(outcome.OK, keyed.payload(plan)), true
    elseif chunk.deadline <= now then
        return answer(outcome.EXPIRED, outcome.LATE), false
    elseif status == outcome.WRONG_BUCKET then
        chunk.refusal = message
    elseif status ~= nil then
        return answer(status, message), false
    else
        plan.retain_until = retention.of_chunk(now, chunk.deadline, chunk.retain)
        chunk.bytes = plan
    end
    return nil, false
end

--- Check a change that is not on record.
-- @treturn table the outcome of a chunk that must neither be applied nor recorded, otherwise nil
-- @treturn boolean whether all its buckets are on record
local function fault_of(chunk, now)
    chunk.refusal = false
    if chunk.op == operations.KEYED then
        return planned(chunk, now)
    end
    if chunk.deadline <= now then
        return answer(outcome.EXPIRED, outcome.LATE)
    end
    local status, message, bytes, count, place, second = CHANGES[chunk.op].check(chunk.text)
    if status == outcome.WRONG_BUCKET then
        chunk.refusal = message
        return nil
    elseif status ~= nil then
        return answer(status, message)
    end
    chunk.bytes, chunk.count, chunk.place, chunk.second = bytes, count, place, second
end

--- Answer the chunks that are on record or faulty. Records are looked up first: a chunk that was applied here has its
-- outcome, even if its buckets have moved since then.
-- @tparam table chunks changes of keys in the order of the call
-- @tparam table answers by position, filled here
-- @tparam number now milliseconds since the epoch
-- @treturn table the chunks found on record
-- @treturn table the chunks left to apply or to refuse
-- @treturn table the faulty chunks
function M.answer_known(chunks, answers, now)
    local on_record, fresh, at_fault = {}, {}, {}
    body.forget_entries()
    local i = 1
    while i <= #chunks do
        local stop = i
        while stop < #chunks and applied.follows(chunks[stop].id, chunks[stop + 1].id) do
            stop = stop + 1
        end
        local may_be = not applied.has_none(chunks[stop].id, stop - i + 1)
        for j = i, stop do
            local chunk = chunks[j]
            local is_on_record, result = false, nil
            if may_be then
                is_on_record, result = applied.find(chunk.id)
            end
            if is_on_record then
                answers[chunk.position] = result == false and REFUSED or answer(outcome.OK, result)
                table.insert(on_record, chunk)
            else
                local fault, is_known = fault_of(chunk, now)
                if fault ~= nil then
                    answers[chunk.position] = fault
                    table.insert(is_known and on_record or at_fault, chunk)
                else
                    table.insert(fresh, chunk)
                end
            end
        end
        i = stop + 1
    end
    return on_record, fresh, at_fault
end

return M
