"""python -m pressbox, and the console command: see pressbox/cli/main.py."""

from pressbox.cli.main import main

if __name__ == "__main__":
    main()
