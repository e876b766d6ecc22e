-- id: download-to-shell
-- title: Download is fed to an interpreter
-- description: A shell was asked to fetch something and to run it at once, without a
--   file that could be looked at. Droppers work so, and so do some installers.
-- severity: high
-- tags: attack.execution, attack.command-and-control, attack.t1059.004, attack.t1105
-- dedup: command_line, user_id
-- window: 6h
-- references: https://attack.mitre.org/techniques/T1105/
-- falsepositives: installers whose instructions say curl | sh
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- An interpreter other than a shell counts only when it reads its program from
-- the pipe: `curl … | python3 -m json.tool` reads data.
SELECT time, pid, user_name, command_line, cwd, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (executable_path ~ '/(ba|da|a|k|mk|z)?sh[0-9.]*$' OR invoked_path ~ '(^|/)-?(ba|da|a|k|mk|z)?sh$')
  AND (
    command_line ~ '(curl|wget|aria2c|lwp-download) [^|;]*\| *(sudo +(-[A-Za-z]+ +)*)?(exec +)?([^ |]*/)?(ba|da|a|k|mk|z)?sh( |$|[;&])'
    OR command_line ~ '(curl|wget|aria2c|lwp-download) [^|;]*\| *(sudo +)?([^ |]*/)?(python[0-9.]*|perl|ruby|node|php)( +-)? *($|[;&])'
    OR command_line ~ '(^|[ /;])(ba|da|k|z)?sh +<\( *(curl|wget) '
    OR command_line ~ '(eval|sh +-c) +["'']?(\$\(|`) *(curl|wget) '
  )
