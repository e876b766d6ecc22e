-- id: own-sensor-stopped
-- title: DaemonEye's programs in the kernel were taken out
-- description: Something happened that the eBPF programs did not count, so they do not
--   run any more, though the collector that loaded them does. Scans go on alone.
-- severity: high
-- tags: attack.defense-impairment, attack.t1685
-- dedup: target_entity_id
-- window: 1d
-- falsepositives: a kernel that detaches its programs by itself, which none is known to do
-- references: https://attack.mitre.org/techniques/T1685/
-- author: DaemonEye
-- version: 1
-- date: 2026-11-30

SELECT time, target_entity_id, target_pid, target_name, arguments
FROM kernel_events
WHERE event = 'sensor_stopped'
