-- id: own-sensor-tampered
-- title: What DaemonEye's programs in the kernel use was changed
-- description: Another process wrote into the maps that say what the eBPF programs tell,
--   or took events from their ring buffer. What was changed has been put back; what was
--   not seen meanwhile is in event_gaps. own-maps-opened says who opened the maps.
-- severity: critical
-- tags: attack.defense-impairment, attack.t1685
-- dedup: target_entity_id
-- window: 1h
-- falsepositives: none known
-- references: https://attack.mitre.org/techniques/T1685/
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01

SELECT time, target_entity_id, target_pid, target_name, arguments
FROM kernel_events
WHERE event = 'sensor_tampered'
