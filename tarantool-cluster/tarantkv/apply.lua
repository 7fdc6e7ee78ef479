--- The procedure `tarantkv.apply`: what happens to the chunks of one call, in which order, in which transaction, and
-- when their outcomes may be told. How a body is read or written is in `read`, `write` and `delete`; the control
-- operations are in `control`.
--
-- The reads of a call come first and see committed data only. Then all its writes and deletes go into one transaction
-- together with their records; if that fails, each is tried alone, so that a bad chunk fails alone.
-- @module tarantkv.apply

local applied = require('tarantkv.applied')
local arguments = require('tarantkv.arguments')
local body = require('tarantkv.body')
local clock = require('tarantkv.clock')
local control = require('tarantkv.control')
local delete = require('tarantkv.delete')
local operations = require('tarantkv.operations')
local outcome = require('tarantkv.outcome')
local read = require('tarantkv.read')
local visibility = require('tarantkv.visibility')
local write = require('tarantkv.write')

local M = {}

local READ = operations.READ
local CHANGES = {[operations.WRITE] = write, [operations.DELETE] = delete}

--- Longest time, from now, for which an outcome is kept, and farthest deadline that is taken seriously.
local HORIZON_MS = 24 * 60 * 60 * 1000

--- Largest sum of the answers to the reads of one call, but for the first of them, which may always be as large as one
-- answer can be: so every call gets on, and no call fills the memory of the shard and of its worker.
M.MAX_ANSWERS_BYTES = 16 * 1024 * 1024

local answer = outcome.answer
local max, min = math.max, math.min
local EXPIRED = 'the deadline has passed'

local clock_skew_ms = 0
local applications = nil

--- Take the settings that matter here.
-- @tparam number skew_ms how far the clocks of shards, workers and apis may differ
-- @param[opt] count_space count every application of a chunk in this space
function M.configure(skew_ms, count_space)
    clock_skew_ms, applications = skew_ms, count_space
end

--- One chunk of the call in the form used below, or nil and the message of a fault.
local function understood(chunk, position, now)
    local id, text = arguments.bytes(chunk[1]), arguments.bytes(chunk[6])
    local deadline, retain = arguments.whole(chunk[3]), arguments.whole(chunk[4])
    if id == nil or #id ~= applied.ID_BYTES then
        return nil, 'the chunk id is not 16 bytes'
    elseif type(chunk[2]) ~= 'number' then
        return nil, 'the operation is not a number'
    elseif deadline == nil or deadline > now + HORIZON_MS then
        return nil, 'the deadline is not a time in milliseconds within the next 24 hours'
    elseif retain == nil then
        return nil, 'the retention is not a number of milliseconds'
    elseif text == nil then
        return nil, 'the body is not bytes'
    end
    return {
        position = position, id = id, op = chunk[2], deadline = deadline, retain = min(retain, HORIZON_MS), text = text,
        -- Filled when the body is checked; named here so that the table is made in its final size.
        bytes = false, count = 0, place = 0,
    }
end

--- Record applied changes, a run of ids as one; inside their transaction.
-- @tparam table chunks in the order of the call
-- @tparam table results what each deleted, nil for a write
-- @treturn boolean false when the database refused
local function record(chunks, results, now)
    local i = 1
    while i <= #chunks do
        local first, result = chunks[i], results[i]
        local retain_until = max(first.deadline + clock_skew_ms, now + first.retain)
        local count = 1
        while result == nil and i + count <= #chunks and results[i + count] == nil
                and applied.follows(chunks[i + count - 1].id, chunks[i + count].id) do
            local chunk = chunks[i + count]
            retain_until = max(retain_until, chunk.deadline + clock_skew_ms, now + chunk.retain)
            count = count + 1
        end
        if not applied.record(first.id, count, retain_until, result) then
            return false
        end
        i = i + count
    end
    return true
end

--- Apply changes and record them; inside a transaction.
-- @treturn table the answers
-- @raise the database's error
local function change_all(chunks, now)
    local answers, results = {}, {}
    for i, chunk in ipairs(chunks) do
        local ok, result = CHANGES[chunk.op].apply(chunk.bytes, chunk.count, chunk.place)
        if not ok then
            box.error(box.error.last())
        end
        if applications ~= nil then
            applications:upsert({chunk.id, 1}, {{'+', 2, 1}})
        end
        answers[i], results[i] = answer(outcome.OK, result), result
    end
    if not record(chunks, results, now) then
        box.error(box.error.last())
    end
    return answers
end

--- Apply these changes in one transaction.
-- @treturn boolean whether it is in the log
-- @treturn table the answers, or the error
local function change_together(chunks, now)
    box.begin()
    local ok, results = pcall(change_all, chunks, now)
    if not ok then
        box.rollback()
        return false, results
    end
    local stored, err = visibility.commit()
    return stored, stored and results or err
end

--- Check a change that is not on record.
-- @treturn table the answer of a chunk that must not be applied, nil otherwise
local function fault_of_change(chunk, now)
    if chunk.deadline <= now then
        return answer(outcome.EXPIRED, EXPIRED)
    end
    local status, message, bytes, count, place = CHANGES[chunk.op].check(chunk.text)
    if status ~= nil then
        return answer(status, message)
    end
    chunk.bytes, chunk.count, chunk.place = bytes, count, place
end

--- Answer the reads from what is stored now.
local function answer_reads(reads, answers, now)
    local budget, answered = M.MAX_ANSWERS_BYTES, false
    for _, chunk in ipairs(reads) do
        local status, payload = outcome.EXPIRED, EXPIRED
        if chunk.deadline > now then
            status, payload = read.run(chunk.text, answered and budget or read.MAX_ANSWER_BYTES)
        end
        if status == outcome.OK then
            budget, answered = budget - #payload, true
        end
        answers[chunk.position] = answer(status, payload)
    end
end

--- Answer the changes that are on record or at fault.
-- @treturn table the chunks found on record
-- @treturn table the chunks left to apply
local function answer_known(changes, answers, now)
    local on_record, fresh = {}, {}
    body.forget_entries()
    local i = 1
    while i <= #changes do
        local stop = i
        while stop < #changes and applied.follows(changes[stop].id, changes[stop + 1].id) do
            stop = stop + 1
        end
        local may_be = not applied.has_none(changes[stop].id, stop - i + 1)
        for j = i, stop do
            local chunk = changes[j]
            local is_on_record, result = false, nil
            if may_be then
                is_on_record, result = applied.find(chunk.id)
            end
            if is_on_record then
                answers[chunk.position] = answer(outcome.OK, result)
                table.insert(on_record, chunk)
            else
                local fault = fault_of_change(chunk, now)
                if fault ~= nil then
                    answers[chunk.position] = fault
                else
                    table.insert(fresh, chunk)
                end
            end
        end
        i = stop + 1
    end
    return on_record, fresh
end

--- Run reads and changes, and return when every answer may be told.
-- Nothing yields between the look at the records and the commit: another worker may hold the same chunk.
-- Whatever was answered from what is stored (reads, and chunks found on record) is provisional until it is confirmed.
local function run(reads, changes, answers)
    local latest = 0
    for _, chunk in ipairs(reads) do
        latest = max(latest, chunk.deadline)
    end
    local verdict
    repeat
        local now = clock.now_ms()
        local seen, failed = visibility.mark()
        answer_reads(reads, answers, now)
        local on_record, fresh = answer_known(changes, answers, now)

        if #fresh > 0 then
            local ok, results = change_together(fresh, now)
            if ok then
                for i, chunk in ipairs(fresh) do
                    answers[chunk.position] = results[i]
                end
            elseif #fresh == 1 then
                answers[fresh[1].position] = answer(outcome.of_error(results))
            else
                -- The whole way again for each: while the log write was failing, somebody else may have applied it.
                for _, chunk in ipairs(fresh) do
                    run({}, {chunk}, answers)
                end
            end
        end
        if #reads == 0 and #on_record == 0 then
            return
        end
        -- A chunk on record has an outcome, and EXPIRED would deny it: that waits for as long as the log takes.
        verdict = visibility.confirm(seen, failed, #on_record == 0 and latest or nil)
        changes = on_record
    until verdict ~= 'again'
    if verdict == 'late' then
        for _, chunk in ipairs(reads) do
            answers[chunk.position] = answer(outcome.EXPIRED, EXPIRED)
        end
    end
end

--- Put each chunk where it belongs; answer at once what belongs nowhere.
local function sorted(chunks, answers)
    local reads, changes, controls, repeats = {}, {}, {}, {}
    local by_id = {}
    local now = clock.now_ms()
    for position, raw in ipairs(chunks) do
        local chunk, message = understood(raw, position, now)
        if chunk == nil then
            answers[position] = answer(outcome.MALFORMED, message)
        else
            if chunk.op == READ then
                table.insert(reads, chunk)
            elseif CHANGES[chunk.op] ~= nil then
                if by_id[chunk.id] ~= nil then
                    table.insert(repeats, {position, by_id[chunk.id]})
                else
                    by_id[chunk.id] = position
                    table.insert(changes, chunk)
                end
            elseif control.knows(chunk.op) then
                table.insert(controls, chunk)
            else
                answers[position] = answer(outcome.MALFORMED, 'there is no such operation')
            end
        end
    end
    return reads, changes, controls, repeats
end

--- `tarantkv.apply(chunks)`: apply the chunks and answer one outcome each, in order.
-- @tparam table chunks array of `{id, op, deadline_ms, retain_ms, keys, body}`
-- @treturn table array of `{status, payload}`
-- @raise only when the argument is not an array of arrays; a bad chunk gets a status
function M.call(chunks)
    if type(chunks) ~= 'table' then
        error('tarantkv.apply takes an array of chunks', 0)
    end
    if #chunks == 0 and next(chunks) ~= nil then
        error('tarantkv.apply takes an array of chunks', 0)
    end
    for _, chunk in ipairs(chunks) do
        if type(chunk) ~= 'table' then
            error('tarantkv.apply takes an array of chunks, each an array', 0)
        end
    end
    local answers = {}
    local reads, changes, controls, repeats = sorted(chunks, answers)
    run(reads, changes, answers)
    for _, chunk in ipairs(controls) do
        answers[chunk.position] = answer(control.run(chunk.op, chunk.text, chunk.deadline))
    end
    for _, pair in ipairs(repeats) do
        answers[pair[1]] = answers[pair[2]]
    end
    return answers
end

return M
