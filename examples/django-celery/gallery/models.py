"""A photo: the file is in the volume, the rest in the database."""

from django.db import models


class Photo(models.Model):
    title = models.CharField(max_length=100)
    email = models.EmailField()
    image = models.ImageField(upload_to="photos")
    thumbnail = models.ImageField(upload_to="thumbnails", blank=True)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-added_at",)

    def __str__(self) -> str:
        return self.title
