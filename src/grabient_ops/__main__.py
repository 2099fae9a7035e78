"""`python -m grabient_ops`."""

from grabient_ops.cli.main import main

if __name__ == "__main__":
    main()
