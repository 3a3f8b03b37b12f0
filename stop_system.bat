@echo off
rem Stop the system, whichever way it was started.
setlocal
cd /d "%~dp0"
set "FITS=import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"
set "PYTHON=py -3.13"
call %PYTHON% -c "%FITS%" >nul 2>nul
if not errorlevel 1 goto found
set "PYTHON=py -3.12"
call %PYTHON% -c "%FITS%" >nul 2>nul
if not errorlevel 1 goto found
set "PYTHON=py -3.11"
call %PYTHON% -c "%FITS%" >nul 2>nul
if not errorlevel 1 goto found
set "PYTHON=python"
call %PYTHON% -c "%FITS%" >nul 2>nul
if not errorlevel 1 goto found
echo Python 3.11, 3.12 or 3.13 is needed and was not found: https://www.python.org/downloads/
exit /b 1

:found
%PYTHON% launcher.py stop %*
exit /b %errorlevel%
