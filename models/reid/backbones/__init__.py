"""Convolutional trunks that give one map a stage. All know how to shift frames in time."""

from models.reid.backbones.base import Backbone, StageMaps, create_backbone
from models.reid.backbones.efficientnet_lite import EfficientNetLite0
from models.reid.backbones.mobilenetv2 import MobileNetV2
from models.reid.backbones.osnet import OSNet
from models.reid.backbones.resnet import ResNet50

__all__ = ["Backbone", "EfficientNetLite0", "MobileNetV2", "OSNet", "ResNet50", "StageMaps", "create_backbone"]
