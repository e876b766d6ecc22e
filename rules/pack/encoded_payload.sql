-- id: encoded-payload
-- title: Encoded payload is decoded and run
-- description: A command decodes text and hands the outcome to an interpreter at once, so
--   that what runs is not to be seen in the command line.
-- severity: high
-- tags: attack.stealth, attack.execution, attack.t1140, attack.t1027.010, attack.t1059.004
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1140/, https://attack.mitre.org/techniques/T1027/010/
-- falsepositives: provisioning tools that carry scripts through a shell in base64
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    (executable_path ~ '/((ba|da|k|z)?sh|busybox)$'
      AND command_line ~ '(base(64|32) +(-[a-zA-Z]*[dD][a-z]*|--decode)|openssl +(enc +)?-?base64 +[^|]*-d|xxd +-[pr ]+)[^|;]*\| *((gunzip|gzip|xz|zcat|bunzip2)[^|]*\| *)?(sudo +)?([^ |]*/)?((ba|da|a|k|z)?sh|python[0-9.]*|perl|ruby|php)( +-[a-z]*)* *($|[;&"''])')
    OR (executable_path ~ '/((ba|da|k|z)?sh|busybox)$'
      AND command_line ~ '(eval|sh +-c) +["'']?(\$\(|`)[^)]*base(64|32) +(-[a-zA-Z]*[dD]|--decode)')
    OR (executable_path ~ '/(python|perl|ruby|php)[0-9.]*$'
      AND command_line ~ ' -[a-zA-Z:]*[cer] ?'
      AND command_line ~ '(exec|eval) *\(?.*(b64decode|decode_base64|base64_decode|Base64\.decode)')
  )
