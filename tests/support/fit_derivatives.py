"""The second stage of a fit as a function, for autograd to differentiate."""

import torch

from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.smplify.newton import N_BODY, N_POSE
from hmrlab.smplify.objective import body_objective


def derivatives(stage):
    hessian, gradient = stage._keypoint_terms()
    stage._add_priors(hessian, gradient)
    return hessian, gradient


def as_function(stage, number):
    """The objective of one body of a stage, of its 82 or 85 numbers away from where it is."""

    def value(step):
        x, y, z = step[:3]
        zero = torch.zeros_like(x)
        skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(1, 3, 3)
        turn = torch.eye(3, dtype=step.dtype) + skew + skew @ skew / 2  # exact to second order
        root = turn @ stage.root[number : number + 1]
        limbs = stage.limbs[number : number + 1] + step[None, 3:N_POSE]
        betas = stage.betas[number : number + 1] + step[None, N_POSE:N_BODY]
        translation = stage.translation[number : number + 1]
        translation = translation + step[None, N_BODY:] if len(step) > N_BODY else translation
        rotations = torch.cat([root[:, None], axis_angle_to_matrix(limbs.view(1, 23, 3))], 1)
        return body_objective(
            stage.body.keypoints(rotations, betas), torch.cat([limbs[:, :3] * 0, limbs], 1), betas,
            translation,
            stage.targets[torch.tensor([number])], stage.prior, stage.weights,
            stage.points and stage.points[torch.tensor([number])],
        )[0]  # fmt: skip

    return value
