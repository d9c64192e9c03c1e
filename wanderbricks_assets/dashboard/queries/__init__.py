"""What each page asks of the lake: functions from tables to frames, without Streamlit, clock or settings."""
