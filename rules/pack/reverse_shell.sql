-- id: reverse-shell
-- title: Reverse shell started
-- description: A shell, an interpreter or a relay was started with arguments
--   that join a shell's input and output to a network connection. This is how an
--   intruder gets an interactive session out through a firewall.
-- severity: critical
-- tags: attack.execution, attack.command-and-control, attack.t1059.004, attack.t1059.006, attack.t1095
-- dedup: entity_id
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1059/004/, https://attack.mitre.org/techniques/T1095/
-- falsepositives: exercises of a red team, remote consoles that an administrator built with socat or netcat
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- A port check such as `echo > /dev/tcp/db/5432`, or a health check that talks
-- HTTP over descriptor 3, starts no shell on the connection and is not meant.
SELECT time, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    (command_line ~ '/dev/(tcp|udp)/[^ /]+/[0-9]+'
      AND command_line ~ '(0>&1|0<&1|0<&[0-9]|(^|[ /])(ba|da|k|z)?sh +-i|do +["'']?\$[A-Za-z_]+["'']? +2?>&)')
    OR (command_line ~ '(^|[ /])(nc|ncat|netcat|nc\.traditional|nc\.openbsd) '
      AND command_line ~ ' (-[A-Za-z]*[ec]|--exec|--sh-exec)[ =]+["'']?([^ ]*/)?(ba|da|k|z)?sh([ "'']|$)')
    OR command_line ~ 'mkfifo .*\|[^|]*sh +-i[^|]*\| *([^ |]*/)?(nc|ncat|netcat|telnet|openssl) '
    OR (executable_path ~ '/(python|perl|ruby|php|lua|node)[0-9.]*$'
      AND command_line ~* '(socket|fsockopen)'
      AND command_line ~ '(dup2|pty\.spawn|/bin/(ba|da|k|z)?sh|[<>]&[0-9S])'
      AND command_line ~ ' -[A-Za-z]*[cer]')
    OR (command_line ~ '(^|[ /])socat '
      AND command_line ~* '(exec|system):[^ ]*(ba|da|k|z)?sh'
      AND command_line ~* '(tcp|udp|openssl|sctp)[46]?(-connect|-listen|-l)?:')
  )
