"""The jobs of the worker."""

from io import BytesIO
from pathlib import Path

from celery import shared_task
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.mail import send_mail
from PIL import Image

from gallery.models import Photo

COUNT = "count of photos"
SIZE = (320, 320)


@shared_task(autoretry_for=(OSError,), retry_backoff=True)
def finish_photo(photo_id: int) -> None:
    """Make the thumbnail of a photo, and write to its owner.

    It may run twice, if the worker is killed near its end: the thumbnail is made once, the mail may come twice.
    """
    photo = Photo.objects.filter(pk=photo_id).first()
    if photo is None or photo.thumbnail:
        return
    with photo.image.open(), Image.open(photo.image) as image:
        image.thumbnail(SIZE)
        small = BytesIO()
        image.convert("RGB").save(small, "JPEG")
    send_mail(f"{photo.title} is in the gallery", "Thank you!", None, [photo.email])
    photo.thumbnail.save(f"{Path(photo.image.name).stem}.jpg", ContentFile(small.getvalue()))


@shared_task
def count_photos() -> None:
    """Count all photos, which takes long in a large table: beat asks for it, and the page shows the last result."""
    cache.set(COUNT, Photo.objects.count(), timeout=None)
