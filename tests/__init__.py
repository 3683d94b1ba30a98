"""Tests of ssod_mm; a package so that tests can share ``tests.helpers``."""
