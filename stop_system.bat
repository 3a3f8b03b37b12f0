@echo off
rem Stop the system, whichever way it was started.
cd /d "%~dp0"
for %%P in ("py -3.13" "py -3.12" "py -3.11" "python") do (
  %%~P -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" >nul 2>nul && (
    %%~P launcher.py stop %*
    exit /b
  )
)
echo Python 3.11, 3.12 or 3.13 is needed and was not found: https://www.python.org/downloads/
exit /b 1
