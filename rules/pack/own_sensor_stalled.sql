-- id: own-sensor-stalled
-- title: DaemonEye's collector did not run for some time
-- description: The process that collects events did not run for ten seconds or more: it
--   was stopped or frozen, or the machine had no time for it. Events waited in the kernel;
--   alerts on them come late.
-- severity: medium
-- tags: attack.defense-impairment, attack.t1685
-- dedup: target_pid
-- window: 1h
-- falsepositives: a virtual machine that was paused, a machine that swaps
-- references: https://attack.mitre.org/techniques/T1685/
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01

SELECT time, target_entity_id, target_pid, target_name, arguments
FROM kernel_events
WHERE event = 'sensor_stalled'
