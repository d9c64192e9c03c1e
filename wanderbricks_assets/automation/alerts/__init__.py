"""A failed check or run reaches people once, and so does its recovery.

incidents.py      what is wrong since when: opened and closed by check evaluations and ended runs
outbox.py         incidents, messages and what each destination still waits for, in a database that survives
destinations.py   who hears of what, through any service Apprise knows; the log hears what nobody else does
messages.py       what they are told
page.py           the same for a person to open: <home>/alerts.html
sensor.py         one round of all this: read, record, deliver; by the daemon and at the end of `wanderbricks run`
"""
