-- id: event-flood
-- title: A process makes more events than can be told
-- description: A process, or all of a user's, made so many events of one sort that most
--   were held back, so that others are not lost. It may be meant to hide something.
-- severity: medium
-- tags: attack.defense-impairment, attack.t1685
-- dedup: entity_id, object_name, operation
-- window: 1h
-- falsepositives: load tests and fuzzers; a server with more connections than the agent can store
-- references: https://attack.mitre.org/techniques/T1685/
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01

SELECT time, entity_id, pid, name, executable_path, command_line, user_name, object_name, operation, arguments
FROM kernel_events
WHERE event = 'flood'
