"""How far a training is, where no terminal shows a bar."""

from ungray.system import progress


def test_within_a_long_epoch_a_line_a_minute_says_how_far_it_is(trained, monkeypatch, capsys):
    minutes = iter(range(10**6))
    monkeypatch.setattr(progress, "monotonic", lambda: 60.0 * next(minutes))
    trained(epochs=1, batch_size=4)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train, epoch 1: ")]
    assert len(lines) > 2
    assert lines[0].startswith("train, epoch 1: photo 4 of ")
    assert lines[0].endswith(" min left")
