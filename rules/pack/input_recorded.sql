-- id: input-recorded
-- title: Keys pressed were recorded
-- description: A tool that records the keyboard ran, or a command reads the keyboard's device.
-- severity: high
-- tags: attack.collection, attack.credential-access, attack.t1056.001
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1056/001/
-- falsepositives: tests of input devices
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    executable_path ~ '/(logkeys|lkl|xspy|keysniffer|uberkey|pykeylogger)$'
    OR (executable_path ~ '/xinput$' AND command_line ~ ' (--)?test(-xi2)?( |$)')
    OR (executable_path ~ '/(cat|dd|tee|xxd|od|hexdump|python[0-9.]*|coreutils|busybox)$' AND command_line ~ '(if=| )/dev/input/(event[0-9]+|by-[a-z]+/[^ ]*kbd)')
  )
