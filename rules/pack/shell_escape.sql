-- id: shell-escape
-- title: Program run as root was made to start a shell
-- description: An editor, pager, archiver or interpreter that sudo started was given an option
--   by which it starts a shell. Where sudo allows that one program only, this leads to all of
--   root's rights.
-- severity: high
-- tags: attack.privilege-escalation, attack.execution, attack.t1548.003, attack.t1059.004
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1548/003/
-- falsepositives: administrators who use such an option on purpose
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND parent_executable_path ~ '/(sudo|sudo-rs|doas|pkexec)$'
  AND (
    (executable_path ~ '/(vi|vim[.a-z]*|nvim|view)$' AND command_line ~ ' (-c|--cmd|\+) ?:?(!|py|lua|set shell|shell)')
    OR (executable_path ~ '/find$' AND command_line ~ ' -(exec|ok)(dir)? ([^ ]*/)?(ba|da|k|z)?sh')
    OR (executable_path ~ '/([gm]?awk|nawk)$' AND command_line ~ 'system *\( *"[^"]*(ba|da|k|z)?sh')
    OR (executable_path ~ '/(bsd)?tar$' AND command_line ~ '(--checkpoint-action[ =]exec|--to-command|--use-compress-program|-I)[= ][^ ]*(ba|da|k|z)?sh')
    OR (executable_path ~ '/(python[0-9.]*|perl|ruby[0-9.]*|lua[0-9.]*|php[0-9.]*|node)$' AND command_line ~ ' -[a-z]*[cer] ' AND command_line ~ '(system|exec[a-z]*|spawn[a-z]*|pty\.spawn)[ (].*(ba|da|k|z)?sh')
    OR (executable_path ~ '/(git|man|less|more|systemctl|journalctl)$' AND command_line ~ '(PAGER|core\.pager)=[^ ]*sh')
    OR (executable_path ~ '/(zip|rsync|nmap|gdb|ed|ftp|socat|strace|taskset|nice|stdbuf|timeout|env|ionice|setarch|flock|xargs|capsh)$'
      AND command_line ~ '( -TT| -e|--interactive| -ex|--unzip-command|!|exec:|--) ?["'']?([^ ]*/)?(ba|da|k|z)?sh( |$|["'',])')
  )
