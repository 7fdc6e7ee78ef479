--- The procedure `tarantkv.apply`: in which order it runs the chunks of a call, and when it reports their outcomes.
-- The operations are in `read`, `write`, `delete` and others, the transaction in `changes`, control operations in
-- `control`.
--
-- The reads of a call run first and see committed data only. Then all changes and control operations run in one
-- transaction. If that fails, each runs in its own transaction, so that a bad chunk fails alone.
-- @module tarantkv.apply

local applied = require('tarantkv.applied')
local arguments = require('tarantkv.arguments')
local changes = require('tarantkv.changes')
local clock = require('tarantkv.clock')
local control = require('tarantkv.control')
local leader = require('tarantkv.leader')
local lease = require('tarantkv.lease')
local operations = require('tarantkv.operations')
local outcome = require('tarantkv.outcome')
local read = require('tarantkv.read')
local read_tuples = require('tarantkv.read_tuples')
local scan = require('tarantkv.scan')
local shard_clock = require('tarantkv.shard_clock')
local visibility = require('tarantkv.visibility')

local M = {}

--- The operations that read, by number: `run(text, budget, now)` returns a status and a payload and never yields.
local READS = {
    [operations.READ] = read,
    [operations.READ_TUPLES] = read_tuples,
    [operations.SCAN] = scan,
}

--- Farthest deadline that is accepted, from now: the longest request timeout, the greatest clock skew, and some more.
local HORIZON_MS = 26 * 60 * 60 * 1000

--- Largest sum of the answers to the reads of one call, so that a call cannot fill the memory of the shard and of its
-- worker. The first answer may always have the size of the largest answer, so that every call gets at least one.
M.MAX_ANSWERS_BYTES = 16 * 1024 * 1024

local answer = outcome.answer
local max = math.max
local NONE = {}

--- One chunk of the call as a table with named fields, or nil and an error message.
local function understood(chunk, position, now)
    local id, text = arguments.bytes(chunk[1]), arguments.bytes(chunk[6])
    local deadline, retain = arguments.whole(chunk[3]), arguments.whole(chunk[4])
    if id == nil or #id ~= applied.ID_BYTES then
        return nil, 'the chunk id is not 16 bytes'
    elseif type(chunk[2]) ~= 'number' then
        return nil, 'the operation is not a number'
    elseif deadline == nil or deadline > now + HORIZON_MS then
        return nil, 'the deadline is not a time in milliseconds within the next 26 hours'
    elseif retain == nil then
        return nil, 'the retention is not a number of milliseconds'
    elseif text == nil then
        return nil, 'the body is not bytes'
    end
    return {
        position = position, id = id, op = chunk[2], deadline = deadline, retain = retain, text = text,
        -- The check of the body fills these. They are named here so that the table is created in its final size.
        bytes = false, count = 0, place = 0, second = 0, refusal = false,
    }
end

--- Answer the reads from the present data.
local function answer_reads(reads, answers, now)
    local budget, answered = M.MAX_ANSWERS_BYTES, false
    local shard_now = #reads > 0 and shard_clock.now_ms() or 0
    for _, chunk in ipairs(reads) do
        local status, payload = outcome.EXPIRED, outcome.LATE
        if chunk.deadline > now then
            status, payload = READS[chunk.op].run(chunk.text, answered and budget or read.MAX_ANSWER_BYTES, shard_now)
        end
        if status == outcome.OK then
            budget, answered = budget - #payload, true
        end
        answers[chunk.position] = answer(status, payload)
    end
end

local run

--- Run the changes and control operations together or, if that fails, each alone.
-- @treturn table the control operations that changed nothing, whose outcomes are provisional
local function change(fresh, controls, answers, now)
    local ok, results, said = changes.commit(fresh, controls, now)
    if ok then
        for i, chunk in ipairs(fresh) do
            answers[chunk.position] = results[i]
        end
        local only_looked = NONE
        for i, chunk in ipairs(controls) do
            local status, payload, changed = said[i][1], said[i][2], said[i][3]
            answers[chunk.position] = answer(status, payload)
            if not changed then
                only_looked = only_looked == NONE and {} or only_looked
                table.insert(only_looked, chunk)
            end
        end
        return only_looked
    end
    local status, message = outcome.of_error(results)
    if #fresh + #controls == 1 or status == outcome.UNKNOWN or status == outcome.READ_ONLY then
        -- Alone they would fail the same way. And a chunk whose outcome is unknown must not be applied a second time.
        for _, chunks in ipairs({fresh, controls}) do
            for _, chunk in ipairs(chunks) do
                answers[chunk.position] = answer(status, message)
            end
        end
    else
        -- Each runs again from the beginning: during the failing log write another call may have applied it.
        for _, chunk in ipairs(fresh) do
            run(NONE, {chunk}, NONE, answers)
        end
        for _, chunk in ipairs(controls) do
            run(NONE, NONE, {chunk}, answers)
        end
    end
    return NONE
end

--- Answer that this instance does not lead, so that the worker asks the other instances.
local function refer(chunks, answers)
    for _, chunk in ipairs(chunks) do
        answers[chunk.position] = answer(outcome.READ_ONLY, leader.NO_LEADER)
    end
end

--- Run reads, changes and control operations, and return when every outcome may be reported.
-- Nothing yields between the search for records and the commit, because another worker may send the same chunk.
-- An outcome that was found by reading is provisional until `visibility` confirms it: that of a read, of a chunk on
-- record, of a faulty chunk, and of a control operation that changed nothing.
function run(reads, writes, controls, answers)
    local latest = 0
    for _, chunk in ipairs(reads) do
        latest = max(latest, chunk.deadline)
    end
    local at_fault = {}
    local verdict
    repeat
        if not leader.leads() then
            refer(reads, answers)
            refer(writes, answers)
            refer(controls, answers)
            return
        end
        local now = clock.now_ms()
        local seen, failed = visibility.mark()
        answer_reads(reads, answers, now)
        local on_record, fresh, faults = changes.answer_known(writes, answers, now)
        local only_looked = NONE
        if #fresh > 0 or #controls > 0 then
            only_looked = change(fresh, controls, answers, now)
        end
        for _, chunk in ipairs(faults) do
            table.insert(at_fault, chunk)
        end
        local on_reads_only = #on_record == 0 and #only_looked == 0
        if #reads == 0 and on_reads_only and (#at_fault == 0 or not lease.is_needed()) then
            return
        end
        -- A chunk on record has an outcome, so it must not be answered with EXPIRED: it waits as long as the log takes.
        verdict = visibility.confirm(seen, failed, #reads > 0 and on_reads_only and #at_fault == 0 and latest or nil)
        writes, controls = on_record, only_looked
    until verdict ~= 'again'
    if verdict == 'late' then
        for _, chunk in ipairs(reads) do
            answers[chunk.position] = answer(outcome.EXPIRED, outcome.LATE)
        end
    elseif verdict == 'lost' then
        -- Chunks on record keep their outcomes: they were applied or refused, whichever instance leads now.
        refer(reads, answers)
        refer(at_fault, answers)
        refer(controls, answers)
    end
end

--- Sort the chunks by kind; answer malformed ones at once.
local function sorted(chunks, answers)
    local reads, writes, controls, repeats = {}, {}, {}, {}
    local by_id = {}
    local now = clock.now_ms()
    for position, raw in ipairs(chunks) do
        local chunk, message = understood(raw, position, now)
        if chunk == nil then
            answers[position] = answer(outcome.MALFORMED, message)
        elseif READS[chunk.op] ~= nil then
            table.insert(reads, chunk)
        elseif changes.knows(chunk.op) then
            if by_id[chunk.id] ~= nil then
                table.insert(repeats, {position, by_id[chunk.id]})
            else
                by_id[chunk.id] = position
                table.insert(writes, chunk)
            end
        elseif control.knows(chunk.op) then
            local status, fault = control.check(chunk)
            if status == nil then
                table.insert(controls, chunk)
            else
                answers[position] = answer(status, fault)
            end
        else
            answers[position] = answer(outcome.MALFORMED, 'there is no operation with this number')
        end
    end
    return reads, writes, controls, repeats
end

--- `tarantkv.apply(chunks)`: run the chunks, and return one outcome for each, in their order.
-- @tparam table chunks array of `{id, op, deadline_ms, retain_ms, keys, body}`
-- @treturn table array of `{status, payload}`
-- @raise only if the argument is not an array of arrays; a bad chunk gets a status
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
    local reads, writes, controls, repeats = sorted(chunks, answers)
    run(reads, writes, controls, answers)
    for _, pair in ipairs(repeats) do
        answers[pair[1]] = answers[pair[2]]
    end
    return answers
end

return M
