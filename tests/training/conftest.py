import pytest
import torch

from hmrlab import LossWeights, Trainer, TrainerSettings
from hmrlab.bodies import load_body
from hmrlab.data.augment import AugmentationSettings
from hmrlab.data.dataset import open_set
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.models import HMR
from hmrlab.models.small import SmallNet
from hmrlab.smplify import load_prior
from hmrlab.spin import SPIN

WEIGHTS = LossWeights()


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """The folder of a small studio set."""
    root = tmp_path_factory.mktemp("sets")
    return ensure_set(SetSpec("studio", "train", 48, 48), root, progress=False)


@pytest.fixture(scope="session")
def body():
    return load_body("free", "light")


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    """A set of 24 people who have 2D keypoints only."""
    root = tmp_path_factory.mktemp("sets")
    return open_set(ensure_set(SetSpec("wild", "train", 24, 48), root, progress=False), "wild")


@pytest.fixture(scope="session")
def prior():
    return load_prior()


@pytest.fixture
def make_trainer(studio, body, tmp_path):
    """A trainer of a tiny network on 32 px crops; fields of its settings can be set."""

    def make(
        folder=tmp_path,
        writer=None,
        pictures=None,
        check=None,
        batch_size=8,
        dataset=None,
        losses=WEIGHTS,
        late=None,
        **settings,
    ):
        torch.manual_seed(0)
        model = HMR(SmallNet((16, 16, 16), channels=8, hidden=16))
        loader = BatchLoader(
            dataset or open_set(studio),
            batch_size=batch_size,
            resolution=32,
            augmentation=AugmentationSettings(),
            shuffle=True,
            drop_last=True,
        )
        objective = SPIN(body, losses)
        wanted = {"steps": 4, "lr": 1e-3} | settings
        device = torch.device("cpu")
        return Trainer(
            model, objective, loader, TrainerSettings(**wanted), folder, device, writer, pictures,
            check, late,
        )  # fmt: skip

    return make
