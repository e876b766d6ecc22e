-- id: history-tampering
-- title: Shell history was cleared or switched off
-- description: A command removes, empties or disables the record of the commands that a
--   user typed.
-- severity: medium
-- tags: attack.stealth, attack.t1070.003
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1070/003/
-- falsepositives: scripts that clean an image before it is published
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    (executable_path ~ '/(rm|shred|unlink|truncate|ln|cp|dd|coreutils|busybox)$'
      AND command_line ~ '(^|[ /=])\.(bash|zsh|sh|ash|python|mysql|psql)_history([ ;]|$)'
      AND (executable_path !~ '/(ln|cp)$' OR command_line ~ '/dev/null'))
    OR (executable_path ~ '/(ba|da|k|z)?sh$'
      AND (command_line ~ '(^|[ ;&])(history +-[a-z]*c|unset +HISTFILE|set +\+o +history)([ ;&]|$)'
        OR command_line ~ 'HISTFILE=(/dev/null)?([ ;&]|$)'
        OR command_line ~ 'HIST(FILE)?SIZE=0([ ;&]|$)'
        OR command_line ~ '> *[^ ]*\.(bash|zsh|sh|ash)_history([ ;]|$)'))
  )
