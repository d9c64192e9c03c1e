from bench.make_up import PHASES, ended

SAID = """\
python3 -m venv .venv
.venv/bin/wanderbricks up
simulated up to March 2024     12 s
/x/home/source holds the marketplace up to 2026-11-22 22:00 UTC (60 s)
Materializing up to 2026-11-22 22:00 UTC from /x/home/source
done    dim_destination                         0.4 s    86 left       10 s in all
done    engagement_features_data                1.5 s    57 left       73 s in all
done    conversion_predictor                   22.5 s    56 left       96 s in all
failed  conversion_predictor_gates              0.2 s    51 left      142 s in all
done    revenue_forecaster_champion             0.1 s    42 left      143 s in all
skipped conversion_scores                       0.0 s    41 left      143 s in all
done    users_source_data                       0.1 s     2 left      161 s in all
33 assets in 6 runs, 163 s
        Scoreboard
│ revenue_forecaster │
Dagster UI   http://127.0.0.1:3000
Dashboard    http://127.0.0.1:8501
Logs are in /x/home/logs. Ctrl-C stops everything."""


def test_each_phase_ends_with_the_last_line_that_belongs_to_it():
    ends = ended((float(second), line) for second, line in enumerate(SAID.splitlines()))
    assert ends == dict(zip(PHASES, (1, 3, 6, 9, 12, 14, 15, 17), strict=True))
