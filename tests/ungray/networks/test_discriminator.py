import pytest
import torch
from torch import nn

from ungray.networks.discriminator import Discriminator


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (33, 50)])
def test_it_says_one_number_a_photo_of_any_size(size):
    torch.manual_seed(0)
    logits = Discriminator()(torch.rand(3, 3, *size))
    assert logits.shape == (3,)
    assert logits.isfinite().all()
    assert len(set(logits.tolist())) == 3


def test_it_pools_by_averages_and_normalizes_after_every_convolution():
    kinds = [type(module) for module in Discriminator().modules() if not list(module.children())]
    assert kinds == [*[nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU, nn.AvgPool2d] * 4, nn.Linear]


def test_it_learns_to_tell_gray_from_color():
    torch.manual_seed(0)
    discriminator = Discriminator(width=4)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    photos = torch.rand(16, 3, 32, 32) * 2 - 1
    truth = torch.arange(16) % 2
    photos[truth == 0, 1:] = 0
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(discriminator(photos), truth.float())
        loss.backward()
        optimizer.step()
    assert torch.equal(discriminator(photos) > 0, truth == 1)
